"""Drives a controller with pyaci, by password and by certificate."""

import json
import os
import tempfile

import requests
from pyaci import Node, filters, options
from pyaci.errors import RestError

from checks import CERTIFICATE, PASSWORD, URL, USER, check, done


def read_meta():
    """Reads the class descriptions of the controller, from the root down, in the form that pyaci wants."""
    session, classes, open_names = requests.Session(), {}, ["top:Root"]
    while open_names:
        full = open_names.pop()
        name = full.replace(":", "")
        if name in classes:
            continue
        package, local = full.split(":")
        answer = session.get(f"{URL}/doc/jsonmeta/{package}/{local}.json", verify=CERTIFICATE)
        answer.raise_for_status()
        meta = answer.json()[full]
        open_names.extend(meta["contains"])
        classes[name] = {
            "rnFormat": meta["rnFormat"],
            "identifiedBy": meta["identifiedBy"],
            "rnMap": {prefix: child.replace(":", "") for prefix, child in meta["rnMap"].items()},
            "contains": {child.replace(":", ""): "" for child in meta["contains"]},
            "properties": meta["properties"],
            "isConfigurable": meta["isConfigurable"],
        }
    # What an answer to a count is made of, which no object contains.
    classes["topRoot"]["contains"]["moCount"] = ""
    classes["moCount"] = {"rnFormat": "cnt", "identifiedBy": [], "rnMap": {}, "contains": {},
                          "properties": {"dn": {}, "count": {}}, "isConfigurable": False}
    return classes


class CurrentNode(Node):
    """pyaci 1.1.3 was written for websocket-client before 1.0, which did not pass the websocket to handlers."""

    def _handleWsOpen(self, *_):
        super()._handleWsOpen()

    def _handleWsMessage(self, *arguments):
        super()._handleWsMessage(arguments[-1])

    def _handleWsError(self, *arguments):
        super()._handleWsError(arguments[-1])

    def _handleWsClose(self, *_):
        super()._handleWsClose()


classes = read_meta()
check("the controller describes its classes", {"fvTenant", "fvBD", "fabricNode"} <= classes.keys(), sorted(classes))
folder = tempfile.mkdtemp()
meta_file = os.path.join(folder, "aci-meta.json")
with open(meta_file, "w", encoding="utf-8") as file:
    json.dump({"classes": classes}, file)


def node():
    return CurrentNode(URL, aciMetaFilePath=meta_file, verify=CERTIFICATE, timeout=60)


# --- Login.
try:
    node().methods.Login(USER, PASSWORD + "x").POST()
    check("a wrong password is refused", False, "an answer")
except RestError as error:
    check("a wrong password is refused", "Username or password is incorrect" in str(error), str(error))

apic = node()
apic.methods.Login(USER, PASSWORD).POST()
check("login succeeds", apic._login["userName"] == USER and apic._login["version"], apic._login)
check("the login is refreshed", apic.methods.LoginRefresh().GET().status_code == 200)

# --- Class query with filter and paging, in XML.
found = apic.methods.ResolveClass("fvTenant").GET(**options.filter(filters.Eq("fvTenant.name", "common")))
check("a filter finds one tenant", [mo.Dn for mo in found] == ["uni/tn-common"], [mo.Dn for mo in found])
either = filters.Or(filters.Eq("fvTenant.name", "common"), filters.Wcard("fvTenant.dn", "tn-inf"))
found = apic.methods.ResolveClass("fvTenant").GET(**options.filter(either))
check("a filter of filters is understood", "uni/tn-common" in [mo.Dn for mo in found], found)

whole = apic.methods.ResolveClass("fvBD").GET(**options.orderBy("fvBD.dn"))
pages = apic.methods.ResolveClass("fvBD").GET(autoPage=True, pageSize=7, **options.orderBy("fvBD.dn"))
dns = [mo.Dn for mo in whole]
check("pages of a class are the class", [mo.Dn for mo in pages] == dns and len(dns) > 7, len(pages))
count = apic.methods.ResolveClass("fvBD").GET(**options.count)
check("a count is the number of objects", int(count[0].count) == len(dns), count[0].count)

for name in ["fvCEp", "fvRsPathAtt", "l1PhysIf", "faultInst"]:
    objects = apic.methods.ResolveClass(name).GET(**(options.page("0") & options.pageSize("50")))
    check(f"the DNs of {name} can be walked", objects and all(mo.Dn == mo._properties["dn"] for mo in objects), objects)

# --- Configuration and the subtree of a tenant.
tenant = apic.mit.polUni().fvTenant("from-pyaci")
tenant.descr = "it's <made> by \"pyaci\""
tenant.fvBD("servers").fvSubnet("10.1.0.1/24")
check("a tenant with content is created", tenant.POST().status_code == 200)

found = apic.mit.polUni().fvTenant("from-pyaci").GET(**options.rspSubtreeFull)[0]
check("the tenant shows up as it was written", found.descr == "it's <made> by \"pyaci\"", found.descr)
subnets = [subnet.ip for bd in found.fvBD for subnet in bd.fvSubnet]
check("its nested subtree is there", subnets == ["10.1.0.1/24"], found.Xml)
flat = apic.mit.polUni().fvTenant("from-pyaci").GET(**options.subtreeClass("fvSubnet"))
check("its flat subtree is there", [mo.Dn for mo in flat] == ["uni/tn-from-pyaci/BD-servers/subnet-[10.1.0.1/24]"], flat)

# --- Subscription.
apic.startWsListener()
_, subscription = apic.mit.polUni().fvTenant("heard-of").GET(**options.subscribe)
apic.mit.polUni().fvTenant("heard-of").POST()
check("an event arrives", apic.waitForWsMo(subscription, 30))
event = apic.popWsMo(subscription)
check("the event names the tenant", (event.Dn, event.Status) == ("uni/tn-heard-of", "created"), event.Xml)
check("the subscription is refreshed", apic.methods.RefreshSubscriptions(subscription).GET().status_code == 200)
apic.mit.polUni().fvTenant("heard-of").DELETE()
check("an event arrives for the deletion", apic.waitForWsMo(subscription, 30))
check("the event says so", apic.popWsMo(subscription).Status == "deleted")

# --- By certificate, without a login.
signed = node()
signed.useX509CertAuth("robot", "key1", os.environ["APIC_KEY"])
found = signed.methods.ResolveClass("fvTenant").GET(**options.filter(filters.Eq("fvTenant.name", "common")))
check("a signed query is answered", [mo.Dn for mo in found] == ["uni/tn-common"], found)
check("a signed change is made", signed.mit.polUni().fvTenant("signed").POST().status_code == 200)
stranger = node()
stranger.useX509CertAuth("robot", "key2", os.environ["APIC_KEY"])
try:
    stranger.mit.polUni().GET()
    check("an unknown certificate is refused", False, "an answer")
except RestError as error:
    check("an unknown certificate is refused", "403" in str(error), str(error))

# --- Logout.
apic.methods.Logout().POST()
try:
    apic.mit.polUni().GET()
    check("the token is no good after the logout", False, "an answer")
except RestError as error:
    check("the token is no good after the logout", "Token was invalid" in str(error), str(error))
done()
