"""Drives a controller with aciClient."""

import json
import ssl

import websocket
from aciClient.aci import ACI

from checks import HOST, PASSWORD, USER, check, done

# --- Login.
check("a wrong password is refused", ACI(HOST, USER, PASSWORD + "x").login() is False)

client = ACI(HOST, USER, PASSWORD)
check("login succeeds", client.login() is True)
token = client.getToken()
check("the cookie is the token of the body", client.session.cookies.get("APIC-cookie") == token)
check("the login is refreshed", client.renewCookie() is True)
check("the refresh brings another token, and the cookie with it",
      token != client.getToken() == client.session.cookies.get("APIC-cookie"))

# --- Class query with filter and paging.
found = client.getJson('class/fvTenant.json?query-target-filter=eq(fvTenant.name,"common")')
check("a filter finds one tenant", [have["fvTenant"]["attributes"]["name"] for have in found] == ["common"], found)

whole = client.getJson("node/class/fvBD.json?order-by=fvBD.dn")
check("all bridge domains are there", len(whole) > 10, len(whole))
check("pages end with an empty one", client.getJsonPaged("class/fvBD.json?order-by=fvBD.dn") == whole)
page = client.getJson("class/fvBD.json?order-by=fvBD.dn&page=1&page-size=3")
check("a page is a part of the whole", page == whole[3:6], page)
endpoints = client.getJson("class/fvCEp.json?order-by=fvCEp.dn&_dc=too-big")
check("a query that is too big is read in pages", isinstance(endpoints, list) and len(endpoints) > 10, endpoints)
refused = client.getJson('class/fvTenant.json?query-target-filter=eq(fvTenant.nonsense,"1")')
check("a wrong filter is refused with a text", "not found in class" in refused, refused)

# --- Configuration and the subtree of a tenant.
tenant = {"fvTenant": {"attributes": {"dn": "uni/tn-from-aciClient"},
                       "children": [{"fvBD": {"attributes": {"name": "servers"}}}]}}
check("a tenant is created", client.postJson(tenant) == 200)
again = {"fvTenant": {"attributes": {"dn": "uni/tn-from-aciClient", "status": "created"}}}
refused = client.postJson(again)
check("it cannot be created again", str(refused).startswith("400: "), refused)
subtree = client.getJson("mo/uni/tn-from-aciClient.json?query-target=subtree&target-subtree-class=fvTenant,fvBD")
classes = sorted(name for have in subtree for name in have)
check("its subtree is there", classes == ["fvBD", "fvTenant"], subtree)

# --- Subscription.
address = f"wss://{HOST}/socket{client.getToken()}"
socket = websocket.create_connection(address, timeout=30, sslopt={"cert_reqs": ssl.CERT_NONE})
answer = client.subscribe("class/fvTenant.json", timeout=120, query_parameters=["page-size=1"])
check("the answer names a subscription", isinstance(answer.get("subscriptionId"), str), answer)
check("the subscription is refreshed", "imdata" in client.subscription_refresh(answer["subscriptionId"]))
check("the tenant is deleted", client.deleteMo("uni/tn-from-aciClient") == 200)
frame = json.loads(socket.recv())
attributes = frame["imdata"][0]["fvTenant"]["attributes"]
check("an event arrives under that subscription", frame["subscriptionId"] == [answer["subscriptionId"]], frame)
check("the event says that the tenant is deleted",
      (attributes["dn"], attributes["status"]) == ("uni/tn-from-aciClient", "deleted"), frame)
check("the tenant is gone", client.getJson("mo/uni/tn-from-aciClient.json") == [])
unknown = client.subscription_refresh("1")
check("an unknown subscription cannot be refreshed", "error" in unknown["imdata"][0], unknown)

# --- Logout.
client.logout()
after = client.getJson("class/fvTenant.json")
check("the token is no good after the logout", "Token was invalid" in str(after), after)
done()
