//! Classes that exist on a controller without objects in the simulated fabric.
//!
//! Clients name them in `target-subtree-class` and `rsp-subtree-class`; a controller answers without such
//! objects, and only a name that no release has is an error.

/// Classes of packages that the fabric has objects of, beside those in the table.
const CLASSES: &str = "\
    aaaAppToken aaaDomainAuth aaaLdapEp aaaLogin aaaPreLoginBanner aaaRadiusEp aaaRbacEp aaaRole aaaSessionLR \
    aaaSshAuth aaaTacacsPlusEp aaaTacacsPlusProvider aaaActiveUserSession aaaAuthRealm aaaPwdProfile \
    commHttps commPol commSsh compCtrlr compDom compHv compProv compUni compVm configExportP configImportP \
    configJob configSnapshot datetimePol dhcpClient dnsProfile \
    epControlP epIpAgingP epLoopProtectP epmIpEp epmMacEp eqptBoard eqptExtCh eqptFan eqptFanStats5min eqptFC \
    eqptFCSlot eqptFlash eqptIngrTotal15min eqptIngrTotal5min eqptEgrTotal15min eqptEgrTotal5min eqptLC eqptLCSlot \
    eqptPsu eqptPsuSlot eqptSensor eqptStorage eqptSupC eqptSupCSlot ethpmAggrIf ethpmFcot ethpmLbRtdIf \
    fabricExplicitGEp fabricFuncP fabricHIfPol fabricHealthTotal5min fabricInstLocal fabricLink fabricLooseLink \
    fabricNodeBlk fabricNodeHealth5min fabricNodeIdentP fabricNodeIdentPol fabricNodePEp fabricOOServicePol \
    fabricOverallHealthHist5min fabricOverallHealthHist15min fabricPath fabricProtLink fabricProtPol fabricRsOosPath \
    fabricSetupP fabricExtPathEpCont faultCounts faultCountsWithDetails faultDelegate faultDomain faultLcP \
    faultRecord faultSummary faultTypeCounts firmwareCardRunning firmwareFirmware \
    firmwareFwGrp firmwareRunning fvABDPolExt fvBDDef fvBDHolder fvConnDef fvCrtrn fvDyPathAtt fvEPg fvEPgCont \
    fvESg fvEpPDef fvEpTag fvFabricExtConnP fvIfConn fvIPAddr fvIpAttr fvMac fvOverallHealth15min fvPathAtt \
    fvRInfoHolder fvRogueEpCtrl fvRsBDToFhs fvRsBDToNdP fvRsBDToNetflowMonitorPol fvRsBDToProfile fvRsBDToRelayP \
    fvRsBdToEpRet fvRsBgpCtxPol fvRsConsIf fvRsCtxMonPol fvRsCtxToBgpCtxAfPol fvRsCtxToEpRet fvRsCtxToExtRouteTagPol \
    fvRsCustQosPol fvRsFcPathAtt fvRsGraphDef fvRsIgmpsn fvRsIntraEpg fvRsMldsn fvRsMonPol fvRsNodeAtt fvRsOspfCtxPol \
    fvRsProtBy fvRsSecInherited fvRsStCEpToPathEp fvRsToVm fvRsTrustCtrl fvRsVmmVSwitchEnhancedLagPol fvRtBd fvRtCtx \
    fvRtEPpInfoToBD fvRtProv fvRtCons fvSCrtrn fvStCEp fvStIp fvSiteAssociated fvSubnetBDDefCont fvTnlEP fvVip \
    fvVmAttr fvTenantHealth5min healthLast healthRecord healthLevelSummary healthNodeInst \
    infraAccBndlGrp infraAccBndlPolGrp infraAccNodePGrp infraAccPortGrp infraAccPortP infraClusterPol infraCont \
    infraFexBndlGrp infraFexP infraFuncP infraHPathS infraHPortS infraLeafS infraNodeBlk infraNodeP infraPortBlk \
    infraPortTrackPol infraProvAcc infraRsAccBaseGrp infraRsAccPortP infraRsAttEntP infraRsCdpIfPol \
    infraRsHIfPol infraRsHPathAtt infraRsLldpIfPol infraRsPathToAccBaseGrp infraRsSpAccPortP \
    infraRsVxlanNs infraSetPol infraSHPortS infraSpAccPortP infraSpineP infraSubPortBlk infraWiNode \
    l1EthIf l1RsAttEntityPCons l1RsCdpIfPolCons l1RsLldpIfPolCons l1FcPhysIf \
    l3extConsLbl l3extDefaultRouteLeakP l3extInfraNodeP l3extIp l3extLoopBackIfP l3extMember l3extProvLbl \
    l3extRouteTagPol l3extRsArpIfPol l3extRsDampeningPol l3extRsDynPathAtt l3extRsInstPToProfile \
    l3extRsInterleakPol l3extRsL3DomAtt l3extRsNdIfPol l3extRsOutToFBRGroup l3extRsSubnetToProfile \
    l3extVirtualLIfP l3extRsEgressQosDppPol l3extRsIngressQosDppPol l3extRsLIfPCustQosPol \
    moCount monFabricPol monFabricTarget monInfraPol monInfraTarget physRsVlanNs physRtDomAtt \
    tagAliasDelInst tagAliasInst tagExtMngdInst topInfo topRoot topSystemHealth \
    vmmCtrlrP vmmDomP vmmEpPD vmmProvP vmmRsAcc vmmUsrAccP \
    vzAnyToCons vzConsDef vzConsLbl vzConsSubjLbl vzCPIf vzGlobalPCEnfPref vzInTerm vzOutTerm vzProvDef vzProvLbl \
    vzProvSubjLbl vzRFltE vzRsAnyToCons vzRsAnyToConsIf vzRsAnyToProv vzRsDenyRule vzRsFiltAtt vzRsFiltGraphAtt \
    vzRsFwdRFltPAtt vzRsIf vzRsInTermGraphAtt vzRsOutTermGraphAtt vzRsRevRFltPAtt vzRsSubjGraphAtt vzRtAnyToCons \
    vzRtAnyToProv vzRtCons vzRtProv vzRtSubjFiltAtt vzRuleOwner vzTaboo vzTSubj vzToEPg";

/// Packages of which every class is taken for one that exists.
const PACKAGES: &str = "\
    acllog ac action actrl actrlcap adcom adepg analytics apPlugin arp bfd bgp bootflash cache callhome cap cdp cloud \
    cloudsec comp compat condition cons coop copp dbg dbgac dbgexp dcext debug dhcp dhcpopt dhcpp dhcptlv dns dpp draw \
    edr eigrp epm extdev fcpr fhs file fset fsm fvns fvtopo geo glean ha hcloud hostprot hsrp hvs igmp igmpsnoop im \
    ip ipfib ipmcsnoop ipsec ipv4 ipv6 iqp isis isns isolated its l2 l2ext l2rib l3 l3vm lacp latency ldap leak lldp \
    macsec maint mcast mcp mdp mgmt mld mldsnoop mock mon mpls msdp naming nat nd netflow nlb nw nwsla observer oam \
    odev oob orchs ospf ospfv3 pc pcons phm pim pim6 ping pkgvm pki planner plat pool poe pres proc psu ptp qin qos \
    qosm reln repl res rib rmon rpm rtcom rtcond rtctrl rtdmc rtext rtfltl rtleak rtmap rtp rtpfx rtreg rtregcom \
    rtsum ruleauth sal satm sch security shard sla snmp span statstypes stats stp stormctrl summary svc svccopy \
    svccore svi sw synce sysdebug sysfile syshist syslog sysmgr sysmgrp tacacs telemetry test tlv tn topoctrl \
    traceroute traceroutep trig tunnel uribv4 uribv6 vlan vlanmgr vns vpc vsan vsanpp vsvc vtap";

/// Returns whether a controller would know the class, although there are no objects of it here.
pub(super) fn is_known(name: &str) -> bool {
    let local = super::local_name(name);
    let package = &name[..name.len() - local.len()];
    let well_formed = !package.is_empty() && local.len() > 1 && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let among = |list: &str, word: &str| list.split_ascii_whitespace().any(|have| have == word);
    well_formed && local != name && (among(CLASSES, name) || among(PACKAGES, package))
}
