//! What is known of which class hangs below which.
//!
//! The object model of a controller has many thousand classes; here are those that people ask for, each with the classes
//! that its objects can be directly below (<https://developer.cisco.com/site/apic-mim-ref-api/>). Of what is not here
//! nothing is claimed.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Serialize;

/// Whether objects of one class can be directly below those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Containment {
    /// They can.
    Yes,
    /// They cannot.
    No,
    /// The table does not say.
    Unknown,
}

/// Classes in the order of their bytes, each with all that can be above it. `*` at the end: these and others.
const PARENTS: &[(&str, &str)] = &[
    ("aaaDomain", "aaaUserEp"),
    ("aaaLoginDomain", "aaaUserEp"),
    ("aaaUser", "aaaUserEp"),
    ("aaaUserCert", "aaaUser aaaAppUser"),
    ("aaaUserDomain", "aaaUser aaaAppUser aaaRemoteUser *"),
    ("aaaUserEp", "polUni"),
    ("aaaUserRole", "aaaUserDomain *"),
    ("bgpAsP", "bgpInstPol bgpPeerP *"),
    ("bgpExtP", "l3extOut"),
    ("bgpInstPol", "fabricInst"),
    ("bgpPeerP", "l3extLNodeP l3extRsPathL3OutAtt *"),
    ("bgpRRNodePEp", "bgpRRP *"),
    ("bgpRRP", "bgpInstPol"),
    ("cdpIfPol", "infraInfra"),
    ("compUni", ""),
    ("datetimePol", "fabricInst"),
    ("fabricExplicitGEp", "fabricProtPol"),
    ("fabricInst", "polUni"),
    ("fabricLink", "fabricLinkCont *"),
    ("fabricNode", "fabricPod"),
    ("fabricNodePEp", "fabricExplicitGEp *"),
    ("fabricPathEp", "fabricPathEpCont fabricProtPathEpCont *"),
    ("fabricPathEpCont", "fabricPod"),
    ("fabricPod", "fabricTopology"),
    ("fabricProtPathEpCont", "fabricPod"),
    ("fabricProtPol", "fabricInst"),
    ("fabricTopology", ""),
    ("faultInst", "*"),
    ("fvAEPg", "fvAp"),
    ("fvAp", "fvTenant"),
    ("fvBD", "fvTenant"),
    ("fvCEp", "fvAEPg l3extInstP *"),
    ("fvCtx", "fvTenant"),
    ("fvEPSelector", "fvESg"),
    ("fvESg", "fvAp"),
    ("fvIp", "fvCEp"),
    ("fvRsBDToOut", "fvBD"),
    ("fvRsBd", "fvAEPg"),
    ("fvRsCEpToPathEp", "fvCEp"),
    ("fvRsCons", "fvAEPg fvESg l3extInstP mgmtInB *"),
    ("fvRsConsIf", "fvAEPg fvESg l3extInstP mgmtInB *"),
    ("fvRsCtx", "fvBD"),
    ("fvRsDomAtt", "fvAEPg"),
    ("fvRsNodeAtt", "fvAEPg"),
    ("fvRsPathAtt", "fvAEPg"),
    ("fvRsProtBy", "fvAEPg l3extInstP *"),
    ("fvRsProv", "fvAEPg fvESg l3extInstP mgmtInB *"),
    ("fvRsTenantMonPol", "fvTenant"),
    ("fvSubnet", "fvBD fvAEPg *"),
    ("fvTenant", "polUni"),
    ("fvnsEncapBlk", "fvnsVlanInstP *"),
    ("fvnsVlanInstP", "infraInfra"),
    ("healthInst", "*"),
    ("infraAccBndlGrp", "infraFuncP"),
    ("infraAccPortGrp", "infraFuncP"),
    ("infraAccPortP", "infraInfra"),
    ("infraAttEntityP", "infraInfra"),
    ("infraFexBndlGrp", "infraFexP"),
    ("infraFexP", "infraInfra"),
    ("infraFuncP", "infraInfra"),
    ("infraHPortS", "infraAccPortP infraFexP *"),
    ("infraInfra", "polUni"),
    ("infraLeafS", "infraNodeP"),
    ("infraNodeBlk", "infraLeafS infraSpineS *"),
    ("infraNodeP", "infraInfra"),
    ("infraPortBlk", "infraHPortS *"),
    ("infraRsAccBaseGrp", "infraHPortS"),
    ("infraRsAccPortP", "infraNodeP"),
    ("infraRsAttEntP", "infraAccPortGrp infraAccBndlGrp *"),
    ("infraRsDomP", "infraAttEntityP"),
    ("infraRsVlanNs", "physDomP l3extDomP l2extDomP *"),
    ("infraSpineP", "infraInfra"),
    ("infraSpineS", "infraSpineP"),
    ("ipNexthopP", "ipRouteP"),
    ("ipRouteP", "l3extRsNodeL3OutAtt"),
    ("l2extDomP", "polUni"),
    ("l2extInstP", "l2extOut"),
    ("l2extOut", "fvTenant"),
    ("l3extDomP", "polUni"),
    ("l3extInstP", "l3extOut"),
    ("l3extLIfP", "l3extLNodeP"),
    ("l3extLNodeP", "l3extOut"),
    ("l3extOut", "fvTenant"),
    ("l3extRsEctx", "l3extOut"),
    ("l3extRsL3DomAtt", "l3extOut"),
    ("l3extRsNodeL3OutAtt", "l3extLNodeP"),
    ("l3extRsPathL3OutAtt", "l3extLIfP"),
    ("l3extSubnet", "l3extInstP"),
    ("lldpIfPol", "infraInfra"),
    ("mgmtMgmtP", "fvTenant"),
    ("monEPGPol", "fvTenant"),
    ("ospfExtP", "l3extOut"),
    ("ospfIfP", "l3extLIfP"),
    ("physDomP", "polUni"),
    ("pkiEp", "aaaUserEp"),
    ("polUni", ""),
    ("rtctrlProfile", "fvTenant fvBD l3extOut *"),
    ("rtctrlSubjP", "fvTenant"),
    ("snmpPol", "fabricInst"),
    ("tagAnnotation", "*"),
    ("tagInst", "*"),
    ("tagTag", "*"),
    ("topSystem", "fabricNode"),
    ("vmmCtrlrP", "vmmDomP"),
    ("vmmDomP", "vmmProvP"),
    ("vmmProvP", "polUni"),
    ("vnsAbsGraph", "fvTenant"),
    ("vnsLDevVip", "fvTenant"),
    ("vpcInstPol", "fabricInst"),
    ("vzAny", "fvCtx"),
    ("vzBrCP", "fvTenant"),
    ("vzCPIf", "fvTenant"),
    ("vzEntry", "vzFilter"),
    ("vzFilter", "fvTenant"),
    ("vzInTerm", "vzSubj"),
    ("vzOutTerm", "vzSubj"),
    ("vzRsAnyToCons", "vzAny"),
    ("vzRsAnyToProv", "vzAny"),
    ("vzRsFiltAtt", "vzInTerm vzOutTerm"),
    ("vzRsSubjFiltAtt", "vzSubj"),
    ("vzSubj", "vzBrCP"),
    ("vzTaboo", "fvTenant"),
];

#[derive(Debug)]
struct Above {
    classes: Vec<&'static str>,
    /// Whether no other class can be above it.
    is_all: bool,
}

static TABLE: LazyLock<BTreeMap<&'static str, Above>> = LazyLock::new(|| {
    let read = |&(class, parents): &(&'static str, &'static str)| {
        let classes = parents.split_ascii_whitespace().filter(|parent| *parent != "*").collect();
        (class, Above { classes, is_all: !parents.ends_with('*') })
    };
    PARENTS.iter().map(read).collect()
});

/// Returns whether the table has anything about a class.
#[must_use]
pub fn is_known(class: &str) -> bool {
    TABLE.contains_key(class) || TABLE.values().any(|above| above.classes.contains(&class))
}

/// Returns whether objects of `child` can be directly below objects of `parent`.
#[must_use]
pub fn may_contain(parent: &str, child: &str) -> Containment {
    match TABLE.get(child) {
        Some(above) if above.classes.contains(&parent) => Containment::Yes,
        // A parent that the table has never heard of may be a mistake or a newer class.
        Some(above) if above.is_all && is_known(parent) => Containment::No,
        _ => Containment::Unknown,
    }
}

/// Lists the classes that are known to hang directly below a class, in order of name; there may be others.
#[must_use]
pub fn children_of(parent: &str) -> Vec<&'static str> {
    TABLE.iter().filter(|(_, above)| above.classes.contains(&parent)).map(|(class, _)| *class).collect()
}

/// Lists the classes that are known to be directly above a class; `true` says that these are all.
#[must_use]
pub fn parents_of(child: &str) -> (Vec<&'static str>, bool) {
    TABLE.get(child).map_or((Vec::new(), false), |above| (above.classes.clone(), above.is_all))
}

/// Returns the class above all objects of a class, where that is only one.
pub(super) fn only_parent(child: &str) -> Option<&'static str> {
    match parents_of(child) {
        (parents, true) if parents.len() == 1 => parents.first().copied(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_names_no_class_twice() {
        let unsorted = PARENTS.windows(2).find(|pair| pair[0].0 >= pair[1].0);

        assert_eq!(unsorted, None);
    }

    #[test]
    fn what_is_not_known_is_said_to_be_unknown() {
        assert_eq!(may_contain("fvTenant", "fvBD"), Containment::Yes);
        assert_eq!(may_contain("fvAp", "fvBD"), Containment::No);
        assert_eq!(may_contain("fvTenant", "faultInst"), Containment::Unknown);
        assert_eq!(may_contain("fvTenant", "xyNew"), Containment::Unknown);
        assert_eq!(may_contain("xyNew", "fvBD"), Containment::Unknown);
        assert_eq!(
            children_of("l3extOut"),
            ["bgpExtP", "l3extInstP", "l3extLNodeP", "l3extRsEctx", "l3extRsL3DomAtt", "ospfExtP", "rtctrlProfile"]
        );
        assert!(children_of("xyNew").is_empty());
    }

    #[cfg(feature = "simulator")]
    #[test]
    fn the_simulated_fabric_has_no_object_where_the_table_says_no() {
        let simulator = crate::simulator::Simulator::start(
            crate::simulator::SimulatorOptions::default()
                .with_scheme(crate::simulator::Scheme::Http)
                .with_objects(2000),
        )
        .unwrap();
        for (class, _) in PARENTS {
            let answer = match simulator.answer(&format!("/api/class/{class}.json")) {
                Ok(answer) => answer,
                Err(_) => continue,
            };
            let answer: serde_json::Value = serde_json::from_slice(answer.as_ref()).unwrap();
            for object in answer["imdata"].as_array().unwrap() {
                let dn = object[*class]["attributes"]["dn"].as_str().unwrap();
                let parent = crate::dn::parent(dn).unwrap_or("");
                let above = simulator.answer(&format!("/api/mo/{parent}.json"));
                let Ok(above) = above else { continue };
                let above: serde_json::Value = serde_json::from_slice(above.as_ref()).unwrap();
                let Some(parent) = above["imdata"][0].as_object().and_then(|object| object.keys().next()) else {
                    continue;
                };
                assert_ne!(may_contain(parent, class), Containment::No, "{parent} above {dn}");
            }
        }
    }
}
