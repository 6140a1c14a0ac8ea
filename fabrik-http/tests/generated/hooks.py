"""Logs schemathesis in again before its token runs out or its session was ended by a call."""

import os

import requests
import schemathesis


@schemathesis.auth(refresh_interval=1)
class Login:
    def get(self, case, context):
        answer = requests.post(
            os.environ["FABRIK_URL"] + "/api/auth/login/",
            json={"username": "root", "password": os.environ["FABRIK_PASSWORD"]},
            timeout=10,
        )
        answer.raise_for_status()
        return answer.json()["access"]

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"
