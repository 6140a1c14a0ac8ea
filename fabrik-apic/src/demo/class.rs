//! The classes of the fabric: which attributes their objects have and how many objects there are.

/// A class of managed objects. The order is that in which a fabric is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Class {
    Tenant,
    Ctx,
    Bd,
    RsCtx,
    Subnet,
    Ap,
    Epg,
    RsBd,
    PathAtt,
    Contract,
    L3Out,
    Endpoint,
    Fault,
    Node,
    PhysIf,
}

impl Class {
    pub(super) const ALL: [Self; 15] = [
        Self::Tenant,
        Self::Ctx,
        Self::Bd,
        Self::RsCtx,
        Self::Subnet,
        Self::Ap,
        Self::Epg,
        Self::RsBd,
        Self::PathAtt,
        Self::Contract,
        Self::L3Out,
        Self::Endpoint,
        Self::Fault,
        Self::Node,
        Self::PhysIf,
    ];

    /// The classes whose objects come and go by themselves, with how often: parts of 100.
    pub(super) const LEAVES: [(Self, u64); 4] =
        [(Self::Endpoint, 68), (Self::Fault, 22), (Self::PathAtt, 8), (Self::Subnet, 2)];

    pub(super) fn name(self) -> &'static str {
        self.definition().0
    }

    /// Returns the name, the objects in 10 000 and the attributes.
    ///
    /// An attribute is `name=value`; `@` stands for a value that differs from object to object. Names are in
    /// the order of their bytes, which is the order an APIC writes them in. Endpoints get what the others leave,
    /// nodes and interfaces depend on the number of switches.
    fn definition(self) -> (&'static str, u64, &'static str) {
        match self {
            Self::Tenant => (
                "fvTenant",
                20,
                "annotation=@ childAction= descr=@ dn=@ extMngdBy= lcOwn=local modTs=@ \
                 monPolDn=uni/tn-common/monepg-default name=@ nameAlias= ownerKey= ownerTag=@ status= uid=@ \
                 userdom=:all:",
            ),
            Self::Ctx => (
                "fvCtx",
                40,
                "annotation=@ bdEnforcedEnable=no childAction= descr=@ dn=@ extMngdBy= ipDataPlaneLearning=enabled \
                 knwMcastAct=permit lcOwn=local modTs=@ monPolDn=uni/tn-common/monepg-default name=@ nameAlias= \
                 ownerKey= ownerTag=@ pcEnfDir=ingress pcEnfDirUpdated=yes pcEnfPref=enforced pcTag=@ scope=@ seg=@ \
                 status= uid=@ userdom=:all: vrfId=0 vrfIndex=0",
            ),
            Self::Bd => (
                "fvBD",
                400,
                "OptimizeWanBandwidth=no arpFlood=@ bcastP=@ childAction= configIssues= descr=@ dn=@ epClear=no \
                 epMoveDetectMode= hostBasedRouting=no intersiteBumTrafficAllow=no intersiteL2Stretch=no \
                 ipLearning=yes lcOwn=local limitIpLearnToSubnets=yes llAddr=:: mac=00:22:BD:F8:19:FF mcastAllow=no \
                 modTs=@ monPolDn=uni/tn-common/monepg-default mtu=inherit multiDstPktAct=bd-flood name=@ nameAlias= \
                 pcTag=@ scope=@ seg=@ status= type=regular uid=@ unicastRoute=@ unkMacUcastAct=@ unkMcastAct=flood \
                 userdom=:all: vmac=not-applicable",
            ),
            Self::RsCtx => (
                "fvRsCtx",
                400,
                "annotation=@ childAction= dn=@ extMngdBy= forceResolve=yes lcOwn=local modTs=@ \
                 monPolDn=uni/tn-common/monepg-default rType=mo state=formed stateQual=none status= tCl=fvCtx \
                 tContextDn= tDn=@ tRn=@ tType=name tnFvCtxName=@ uid=@ userdom=:all:",
            ),
            Self::Subnet => (
                "fvSubnet",
                500,
                "annotation=@ childAction= ctrl=nd descr=@ dn=@ extMngdBy= ip=@ ipDPLearning=enabled lcOwn=local \
                 modTs=@ monPolDn=uni/tn-common/monepg-default name= nameAlias= preferred=no scope=@ status= uid=@ \
                 userdom=:all: virtual=no",
            ),
            Self::Ap => (
                "fvAp",
                100,
                "annotation=@ childAction= descr=@ dn=@ extMngdBy= lcOwn=local modTs=@ \
                 monPolDn=uni/tn-common/monepg-default name=@ nameAlias= ownerKey= ownerTag=@ prio=unspecified status= \
                 uid=@ userdom=:all:",
            ),
            Self::Epg => (
                "fvAEPg",
                500,
                "annotation=@ childAction= configIssues= configSt=applied descr=@ dn=@ exceptionTag= extMngdBy= \
                 floodOnEncap=disabled fwdCtrl= hasMcastSource=no isAttrBasedEPg=no isSharedSrvMsiteEPg=no lcOwn=local \
                 matchT=AtleastOne modTs=@ monPolDn=uni/tn-common/monepg-default name=@ nameAlias= \
                 pcEnfPref=unenforced pcTag=@ prefGrMemb=exclude prio=unspecified scope=@ shutdown=no status= \
                 triggerSt=triggerable txId=@ uid=@ userdom=:all:",
            ),
            Self::RsBd => (
                "fvRsBd",
                500,
                "annotation=@ childAction= dn=@ extMngdBy= forceResolve=yes lcOwn=local modTs=@ \
                 monPolDn=uni/tn-common/monepg-default rType=mo state=formed stateQual=none status= tCl=fvBD \
                 tContextDn= tDn=@ tRn=@ tType=name tnFvBDName=@ uid=@ userdom=:all:",
            ),
            Self::PathAtt => (
                "fvRsPathAtt",
                2500,
                "annotation=@ childAction= descr=@ dn=@ encap=@ extMngdBy= forceResolve=yes instrImedcy=@ lcC= \
                 lcOwn=local modTs=@ mode=@ monPolDn=uni/tn-common/monepg-default primaryEncap=unknown rType=mo \
                 state=formed stateQual=none status= tCl=fabricPathEp tDn=@ tType=mo triggerSt=triggerable txId=@ uid=@ \
                 userdom=:all:common:",
            ),
            Self::Contract => (
                "vzBrCP",
                150,
                "annotation=@ childAction= configIssues= descr=@ dn=@ extMngdBy= intent=install lcOwn=local modTs=@ \
                 monPolDn=uni/tn-common/monepg-default name=@ nameAlias= ownerKey= ownerTag=@ prio=unspecified \
                 reevaluateAll=no scope=context status= targetDscp=unspecified uid=@ userdom=:all:",
            ),
            Self::L3Out => (
                "l3extOut",
                30,
                "annotation=@ childAction= configIssues= descr=@ dn=@ enforceRtctrl=export extMngdBy= lcOwn=local \
                 modTs=@ monPolDn=uni/tn-common/monepg-default mplsEnabled=no name=@ nameAlias= ownerKey= ownerTag=@ \
                 status= targetDscp=unspecified uid=@ userdom=:all:",
            ),
            Self::Endpoint => (
                "fvCEp",
                0,
                "annotation= baseEpgDn= bdDn=@ childAction= contName=@ dn=@ encap=@ esgUsegDn= extMngdBy= \
                 fabricPathDn=@ hostingServer=@ id=0 idepdn=@ ip=@ lcC=@ lcOwn=local mac=@ mcastAddr=not-applicable \
                 modTs=@ monPolDn=uni/tn-common/monepg-default name=@ nameAlias= reportingControllerName=@ status= \
                 uid=0 userdom=all uuid=@ vmmSrc= vrfDn=@",
            ),
            Self::Fault => (
                "faultInst",
                400,
                "ack=no alert=no annotation= cause=@ changeSet=@ childAction= code=@ created=@ delegated=no descr=@ \
                 dn=@ domain=@ extMngdBy=undefined highestSeverity=@ lastTransition=@ lc=@ lcOwn=local modTs=@ occur=@ \
                 origSeverity=@ prevSeverity=@ rule=@ severity=@ status= subject=@ title= type=@ uid= userdom=all",
            ),
            Self::Node => (
                "fabricNode",
                0,
                "adSt=on address=@ annotation= apicType=apic childAction= delayedHeartbeat=no dn=@ extMngdBy= \
                 fabricSt=@ id=@ lastStateModTs=@ lcOwn=local modTs=@ model=@ monPolDn=uni/fabric/monfab-default name=@ \
                 nameAlias= nodeType=unspecified role=@ serial=@ status= uid=0 userdom=all vendor=@ version=@",
            ),
            Self::PhysIf => (
                "l1PhysIf",
                600,
                "adminSt=up autoNeg=on brkoutMap=none bw=0 childAction= delay=1 descr=@ dn=@ dot1qEtherType=0x8100 \
                 emiRetrain=disable ethpmCfgFailedBmp= fcotChannelNumber=Channel32 fecMode=inherit id=@ \
                 inhBw=unspecified layer=Layer2 lcOwn=local linkDebounce=100 linkLog=default mdix=auto medium=broadcast \
                 modTs=@ mode=trunk monPolDn=uni/infra/moninfra-default mtu=9000 name= portT=leaf \
                 prioFlowCtrl=auto routerMac=not-applicable snmpTrapSt=enable spanMode=not-a-span-dest speed=@ status= \
                 switchingSt=@ usage=@",
            ),
        }
    }

    /// Returns how many of 10 000 objects are of this class; 0 where another rule says so.
    pub(super) fn share(self) -> u64 {
        self.definition().1
    }
}

/// The attributes of a class, parsed.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Name and value; `None` where objects differ.
    pub(super) attributes: Vec<(&'static str, Option<&'static str>)>,
    /// Where the class itself stands among the attributes of a flat row.
    pub(super) class_name_at: usize,
}

impl Table {
    /// Parses the attributes of every class; [`Class`] as a number is the index.
    pub(super) fn all() -> Vec<Self> {
        Class::ALL.into_iter().map(Self::of).collect()
    }

    fn of(class: Class) -> Self {
        let attributes: Vec<_> = class
            .definition()
            .2
            .split_ascii_whitespace()
            .filter_map(|attribute| attribute.split_once('='))
            .map(|(name, value)| (name, (value != "@").then_some(value)))
            .collect();
        let class_name_at = attributes.partition_point(|&(name, _)| name < fabrik_core::CLASS_NAME);
        Self { attributes, class_name_at }
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.attributes.iter().position(|&(have, _)| have == name)
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Table};

    #[test]
    fn attributes_are_ascending_and_as_many_as_real_objects_have() {
        for (class, table) in Class::ALL.into_iter().zip(Table::all()) {
            assert!(table.attributes.is_sorted_by(|before, after| before.0 < after.0), "{class:?}");
            assert!((15..=35).contains(&table.attributes.len()), "{class:?}: {}", table.attributes.len());
            assert!(table.position("dn").is_some() && table.position("modTs").is_some(), "{class:?}");
        }
    }

    #[test]
    fn a_class_as_a_number_is_its_place_in_the_list() {
        for (place, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, place);
        }
    }
}
