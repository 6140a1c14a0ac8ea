"""Logs in with the generated client and reads what only a user can read."""

import os

from fabrik_client import AuthenticatedClient, Client
from fabrik_client.api.auth import auth_login, auth_user_list, auth_profile_retrieve
from fabrik_client.models import LoginError, LoginRequest, LoginResponse, UserPage, UserProfile

url = os.environ["FABRIK_URL"]
password = os.environ["FABRIK_PASSWORD"]

anonymous = Client(base_url=url)
refused = auth_login.sync(client=anonymous, body=LoginRequest(username="root", password="not the password"))
assert isinstance(refused, LoginError) and refused.detail, refused

tokens = auth_login.sync(client=anonymous, body=LoginRequest(username="root", password=password))
assert isinstance(tokens, LoginResponse), tokens
assert tokens.user.is_admin and tokens.user.username == "root", tokens.user

client = AuthenticatedClient(base_url=url, token=tokens.access)
profile = auth_profile_retrieve.sync(client=client)
assert isinstance(profile, UserProfile) and profile.username == "root", profile
users = auth_user_list.sync(client=client, search="root")
assert isinstance(users, UserPage) and [user.id for user in users.results] == [profile.id], users
print(f"logged in as {profile.username}")
