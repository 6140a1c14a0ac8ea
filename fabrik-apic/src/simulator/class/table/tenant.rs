//! Classes of tenants, and what holds everything else.

use super::{Definition, class};

pub(super) const CLASSES: &[Definition] = &[
    // What holds everything else.
    class("polUni", "uni", "/ topSvc", "name=", "%tenant"),
    class("fabricTopology", "topology", "/", "", "lcOwn=local monPolDn=uni/fabric/monfab-default"),
    class("fabricInst", "fabric", "polUni", "name= nameAlias=", "%fabric"),
    class("infraInfra", "infra", "polUni", "descr= name= nameAlias= ownerKey= ownerTag=", "%fabric"),
    // Tenants and what is below.
    class("fvTenant", "tn-{name}", "polUni", "descr= name:i= nameAlias= ownerKey= ownerTag=", "%tenant"),
    class(
        "fvCtx",
        "ctx-{name}",
        "fvTenant",
        "bdEnforcedEnable:b=no descr= ipDataPlaneLearning:disabled|enabled=enabled knwMcastAct:permit|deny=permit \
         name:i= nameAlias= ownerKey= ownerTag= pcEnfDir:ingress|egress=ingress \
         pcEnfPref:enforced|unenforced=enforced vrfId:n=0",
        "%tenant pcEnfDirUpdated:b=yes pcTag:n=16386 scope:n=2097152 seg:n=2097152 vrfIndex:n=0",
    ),
    class(
        "vzAny",
        "any",
        "fvCtx",
        "descr= matchT= name= nameAlias= prefGrMemb:disabled|enabled=disabled",
        "%tenant pcTag:n=0 scope:n=0",
    ),
    class(
        "fvBD",
        "BD-{name}",
        "fvTenant",
        "OptimizeWanBandwidth:b=no arpFlood:b=no descr= epClear:b=no epMoveDetectMode= hostBasedRouting:b=no \
         intersiteBumTrafficAllow:b=no intersiteL2Stretch:b=no ipLearning:b=yes limitIpLearnToSubnets:b=yes llAddr=:: \
         mac=00:22:BD:F8:19:FF mcastAllow:b=no multiDstPktAct:bd-flood|encap-flood|drop=bd-flood name:i= nameAlias= \
         ownerKey= ownerTag= type:regular|fc=regular unicastRoute:b=yes unkMacUcastAct:flood|proxy=proxy \
         unkMcastAct:flood|opt-flood=flood vmac=not-applicable",
        "%tenant bcastP:a=0.0.0.0 configIssues= mtu=inherit pcTag:n=16386 scope:n=2097152 seg:n=15000000",
    ),
    class("fvRsCtx", "rsctx", "fvBD", "tnFvCtxName=", "%tenant %named tCl=fvCtx"),
    class("fvRsBDToOut", "rsBDToOut-{tnL3extOutName}", "fvBD", "tnL3extOutName:i=", "%tenant %named tCl=l3extOut"),
    class(
        "fvSubnet",
        "subnet-[{ip}]",
        "fvBD fvAEPg",
        "ctrl=nd descr= ip:a= ipDPLearning:disabled|enabled=enabled name= nameAlias= preferred:b=no scope=private \
         virtual:b=no",
        "%tenant",
    ),
    class("fvAp", "ap-{name}", "fvTenant", "descr= name:i= nameAlias= ownerKey= ownerTag= prio=unspecified", "%tenant"),
    class(
        "fvAEPg",
        "epg-{name}",
        "fvAp",
        "descr= exceptionTag= floodOnEncap:disabled|enabled=disabled fwdCtrl= hasMcastSource:b=no isAttrBasedEPg:b=no \
         isSharedSrvMsiteEPg:b=no matchT=AtleastOne name:i= nameAlias= pcEnfPref:unenforced|enforced=unenforced \
         prefGrMemb:exclude|include=exclude prio=unspecified shutdown:b=no",
        "%tenant configIssues= configSt=applied pcTag:n=16386 scope:n=2097152 triggerSt=triggerable txId:n=0",
    ),
    class("fvRsBd", "rsbd", "fvAEPg", "tnFvBDName=", "%tenant %named tCl=fvBD"),
    class(
        "fvRsPathAtt",
        "rspathAtt-[{tDn}]",
        "fvAEPg",
        "descr= encap=unknown instrImedcy:lazy|immediate=lazy mode:regular|native|untagged=regular \
         primaryEncap=unknown tDn=",
        "%tenant %direct lcC= tCl=fabricPathEp triggerSt=triggerable txId:n=0",
    ),
    class(
        "fvRsDomAtt",
        "rsdomAtt-[{tDn}]",
        "fvAEPg",
        "bindingType:none|staticBinding|dynamicBinding|ephemeral=none classPref:encap|useg=encap customEpgName= \
         delimiter= encap=unknown encapMode:auto|vlan|vxlan=auto instrImedcy:lazy|immediate=lazy \
         netflowPref:disabled|enabled=disabled numPorts:n=0 portAllocation:none|elastic|fixed=none \
         primaryEncap=unknown resImedcy:lazy|immediate|pre-provision=immediate switchingMode:native|AVE=native tDn= \
         untagged:b=no",
        "%tenant %direct configIssues= mode=default tCl=physDomP triggerSt=triggerable txId:n=0",
    ),
    class(
        "fvRsCons",
        "rscons-{tnVzBrCPName}",
        "fvAEPg l3extInstP vzAny",
        "intent:install|estimate_add=install prio=unspecified tnVzBrCPName:i=",
        "%tenant %named tCl=vzBrCP triggerSt=triggerable",
    ),
    class(
        "fvRsProv",
        "rsprov-{tnVzBrCPName}",
        "fvAEPg l3extInstP vzAny",
        "intent:install|estimate_add=install matchT=AtleastOne prio=unspecified tnVzBrCPName:i=",
        "%tenant %named tCl=vzBrCP triggerSt=triggerable",
    ),
    class("fvRsTenantMonPol", "rsTenantMonPol", "fvTenant", "tnMonEPGPolName=", "%tenant %named tCl=monEPGPol"),
    class("monEPGPol", "monepg-{name}", "fvTenant", "descr= name:i= nameAlias= ownerKey= ownerTag=", "%tenant"),
    class(
        "fvCEp",
        "cep-{name}",
        "fvAEPg l3extInstP",
        "",
        "annotation= baseEpgDn= bdDn= contName= encap=unknown esgUsegDn= extMngdBy= fabricPathDn= hostingServer= \
         id:n=0 idepdn= ip:a=0.0.0.0 lcC=learned lcOwn=local mac= mcastAddr=not-applicable \
         monPolDn=uni/tn-common/monepg-default name= nameAlias= reportingControllerName= uid:n=0 userdom=all uuid= \
         vmmSrc= vrfDn=",
    ),
    class(
        "fvIp",
        "ip-[{addr}]",
        "fvCEp",
        "",
        "addr:a= annotation= baseEpgDn= bdDn= createTs:t=never debugMACMessage= esgUsegDn= extMngdBy= fabricPathDn= \
         flags= lcOwn=local monPolDn=uni/tn-common/monepg-default uid:n=0 userdom=all vrfDn=",
    ),
    class(
        "fvRsCEpToPathEp",
        "rscEpToPathEp-[{tDn}]",
        "fvCEp",
        "",
        "annotation= extMngdBy= forceResolve:b=yes lcC=learned lcOwn=local rType=mo state=formed stateQual=none \
         tCl=fabricPathEp tDn= tType=mo uid:n=0 userdom=all",
    ),
    // Contracts.
    class(
        "vzBrCP",
        "brc-{name}",
        "fvTenant",
        "descr= intent:install|estimate_add=install name:i= nameAlias= ownerKey= ownerTag= prio=unspecified \
         scope:context|tenant|global|application-profile=context targetDscp=unspecified",
        "%tenant configIssues= reevaluateAll:b=no",
    ),
    class(
        "vzSubj",
        "subj-{name}",
        "vzBrCP",
        "consMatchT=AtleastOne descr= name:i= nameAlias= prio=unspecified provMatchT=AtleastOne revFltPorts:b=yes \
         targetDscp=unspecified",
        "%tenant configIssues=",
    ),
    class(
        "vzRsSubjFiltAtt",
        "rssubjFiltAtt-{tnVzFilterName}",
        "vzSubj",
        "action:permit|deny=permit directives= priorityOverride=default tnVzFilterName:i=",
        "%tenant %named tCl=vzFilter",
    ),
    class(
        "vzFilter",
        "flt-{name}",
        "fvTenant",
        "descr= name:i= nameAlias= ownerKey= ownerTag=",
        "%tenant fwdId:n=0 id=implicit revId:n=0 txId:n=0",
    ),
    class(
        "vzEntry",
        "e-{name}",
        "vzFilter",
        "applyToFrag:b=no arpOpc=unspecified dFromPort=unspecified dToPort=unspecified descr= etherT=unspecified \
         icmpv4T=unspecified icmpv6T=unspecified matchDscp=unspecified name:i= nameAlias= prot=unspecified \
         sFromPort=unspecified sToPort=unspecified stateful:b=no tcpRules=",
        "%tenant",
    ),
    // The outside.
    class(
        "l3extOut",
        "out-{name}",
        "fvTenant",
        "descr= enforceRtctrl=export mplsEnabled:b=no name:i= nameAlias= ownerKey= ownerTag= targetDscp=unspecified",
        "%tenant configIssues=",
    ),
    class("l3extRsEctx", "rsectx", "l3extOut", "tnFvCtxName=", "%tenant %named tCl=fvCtx"),
    class(
        "l3extLNodeP",
        "lnodep-{name}",
        "l3extOut",
        "descr= name:i= nameAlias= ownerKey= ownerTag= tag=yellow-green targetDscp=unspecified",
        "%tenant configIssues=",
    ),
    class(
        "l3extRsNodeL3OutAtt",
        "rsnodeL3OutAtt-[{tDn}]",
        "l3extLNodeP",
        "rtrId=0.0.0.0 rtrIdLoopBack:b=yes tDn=",
        "%tenant %direct configIssues= tCl=fabricNode",
    ),
    class(
        "l3extLIfP",
        "lifp-{name}",
        "l3extLNodeP",
        "descr= name:i= nameAlias= ownerKey= ownerTag= prio=unspecified tag=yellow-green",
        "%tenant addr=0.0.0.0 encap=unknown targetDscp=unspecified",
    ),
    class(
        "l3extRsPathL3OutAtt",
        "rspathL3OutAtt-[{tDn}]",
        "l3extLIfP",
        "addr=0.0.0.0 autostate:disabled|enabled=disabled descr= encap=unknown encapScope:local|ctx=local \
         ifInstT=unspecified ipv6Dad:disabled|enabled=enabled llAddr=:: mac=00:22:BD:F8:19:FF \
         mode:regular|native|untagged=regular mtu=inherit tDn= targetDscp=unspecified",
        "%tenant %direct configIssues= tCl=fabricPathEp",
    ),
    class(
        "l3extInstP",
        "instP-{name}",
        "l3extOut",
        "descr= exceptionTag= floodOnEncap:disabled|enabled=disabled matchT=AtleastOne name:i= nameAlias= \
         prefGrMemb:exclude|include=exclude prio=unspecified targetDscp=unspecified",
        "%tenant configIssues= configSt=applied isSharedSrvMsiteEPg:b=no pcEnfPref=unenforced pcTag:n=32770 \
         scope:n=2097152 triggerSt=triggerable txId:n=0",
    ),
    class(
        "l3extSubnet",
        "extsubnet-[{ip}]",
        "l3extInstP",
        "aggregate= descr= ip:a= name= nameAlias= scope=import-security",
        "%tenant",
    ),
    class(
        "ospfExtP",
        "ospfExtP",
        "l3extOut",
        "areaCost:n=1 areaCtrl=redistribute,summary areaId=0.0.0.1 areaType=nssa descr= nameAlias= multipodInternal:b=no",
        "%tenant",
    ),
    class("bgpExtP", "bgpExtP", "l3extOut", "descr= nameAlias=", "%tenant name="),
    class(
        "ipRouteP",
        "rt-[{ip}]",
        "l3extRsNodeL3OutAtt",
        "aggregate:b=no descr= ip:a= name= nameAlias= pref:n=1 rtCtrl=",
        "%tenant fromPfxLen:n=0 toPfxLen:n=0 type=rt-static",
    ),
    class(
        "ipNexthopP",
        "nh-[{nhAddr}]",
        "ipRouteP",
        "descr= name= nameAlias= nhAddr:a= pref=unspecified type:none|prefix=prefix",
        "%tenant",
    ),
    class(
        "bgpPeerP",
        "peerP-[{addr}]",
        "l3extLNodeP l3extRsPathL3OutAtt",
        "addr:a= addrTCtrl=af-ucast adminSt:disabled|enabled=enabled allowedSelfAsCnt:n=3 ctrl= descr= name= nameAlias= peerCtrl= privateASctrl= ttl:n=1 weight:n=0",
        "%tenant",
    ),
];
