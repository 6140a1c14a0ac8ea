"""Drives a controller with acitoolkit."""

import collections
import collections.abc

# acitoolkit 0.4 imports a name that Python 3.10 has moved.
collections.Sequence = collections.abc.Sequence

from acitoolkit import AppProfile, BridgeDomain, Context, EPG, Session, Tenant  # noqa: E402

from checks import PASSWORD, URL, USER, check, done, until  # noqa: E402

# --- Login.
wrong = Session(URL, USER, PASSWORD + "x").login()
check("a wrong password is refused with 401", wrong.status_code == 401, wrong.text)

session = Session(URL, USER, PASSWORD)
login = session.login()
check("login succeeds", login.ok and session.logged_in(), login.text)
check("the login names a token and its timeout", session.token and session.login_thread._login_timeout == 300)

token = session.token
check("the login is refreshed", session.refresh_login().ok)
check("the refresh brings another token", session.token != token)

# --- Class query with filter and paging.
names = sorted(tenant.name for tenant in Tenant.get(session))
check("all tenants are objects", "common" in names and len(names) == len(set(names)), names)

url = "/api/class/fvTenant.json?query-target-filter=" + 'eq(fvTenant.name,"common")'
answer = session.get(url).json()
check("a filter finds one tenant", (answer["totalCount"], len(answer["imdata"])) == ("1", 1), answer)

url = "/api/node/class/fvBD.json?order-by=fvBD.dn&page=%d&page-size=7"
pages, number = [], 0
while page := session.get(url % number).json()["imdata"]:
    pages.append([bd["fvBD"]["attributes"]["dn"] for bd in page])
    number += 1
whole = session.get("/api/class/fvBD.json?order-by=fvBD.dn").json()
dns = [bd["fvBD"]["attributes"]["dn"] for bd in whole["imdata"]]
check("pages of a class are the class", sum(pages, []) == dns and len(pages) > 1, pages)

# --- Configuration and the subtree of a tenant.
tenant = Tenant("from-acitoolkit")
context = Context("main", tenant)
bd = BridgeDomain("servers", tenant)
bd.add_context(context)
profile = AppProfile("shop", tenant)
epg = EPG("web", profile)
epg.add_bd(bd)
pushed = session.push_to_apic(tenant.get_url(), tenant.get_json())
check("a tenant with content is created", pushed.ok, pushed.text)

found = Tenant.get_deep(session, names=["from-acitoolkit"])
check("the tenant shows up", [have.name for have in found] == ["from-acitoolkit"], found)
children = sorted(type(child).__name__ for child in found[0].get_children())
check("its subtree is there", children == ["AppProfile", "BridgeDomain", "Context"], children)
epgs = EPG.get(session, found[0].get_children(AppProfile)[0], found[0])
check("its EPG is there", [have.name for have in epgs] == ["web"], epgs)

# --- Subscription.
Tenant.subscribe(session, only_new=True)
pushed = session.push_to_apic("/api/mo/uni.json", Tenant("heard-of").get_json())
check("a second tenant is created", pushed.ok, pushed.text)
check("an event arrives", until(lambda: Tenant.has_events(session)))
event = Tenant.get_event(session)
check("the event names the tenant", event.name == "heard-of" and not event.is_deleted(), event)

session.subscription_thread.refresh_subscriptions()
check("the subscription is refreshed", None not in session.subscription_thread._subscriptions.values())

gone = Tenant("heard-of")
gone.mark_as_deleted()
check("the tenant is deleted", session.push_to_apic("/api/mo/uni.json", gone.get_json()).ok)
check("an event arrives for it", until(lambda: Tenant.has_events(session)))
check("the event says so", Tenant.get_event(session).is_deleted())
done()
