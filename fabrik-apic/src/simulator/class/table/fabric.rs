//! Classes of the fabric itself, of users and of records.

use super::{Definition, class};

pub(super) const CLASSES: &[Definition] = &[
    // Domains and pools.
    class("physDomP", "phys-{name}", "polUni", "name:i= nameAlias= ownerKey= ownerTag=", "%fabric configIssues="),
    class("l3extDomP", "l3dom-{name}", "polUni", "name:i= nameAlias= ownerKey= ownerTag=", "%fabric configIssues="),
    class("l2extDomP", "l2dom-{name}", "polUni", "name:i= nameAlias= ownerKey= ownerTag=", "%fabric configIssues="),
    class("infraRsVlanNs", "rsvlanNs", "physDomP l3extDomP l2extDomP", "tDn=", "%fabric %direct tCl=fvnsVlanInstP"),
    class(
        "infraAttEntityP",
        "attentp-{name}",
        "infraInfra",
        "descr= name:i= nameAlias= ownerKey= ownerTag=",
        "%fabric configIssues= creator=USER",
    ),
    class("infraRsDomP", "rsdomP-[{tDn}]", "infraAttEntityP", "tDn=", "%fabric %direct tCl=physDomP"),
    class(
        "fvnsVlanInstP",
        "vlanns-[{name}]-{allocMode}",
        "infraInfra",
        "allocMode:dynamic|static=static descr= name:i= nameAlias= ownerKey= ownerTag=",
        "%fabric configIssues=",
    ),
    class(
        "fvnsEncapBlk",
        "from-[{from}]-to-[{to}]",
        "fvnsVlanInstP",
        "allocMode:inherit|dynamic|static=inherit descr= from= name= nameAlias= role:internal|external=external to=",
        "%fabric",
    ),
    // Users.
    class(
        "aaaUserEp",
        "userext",
        "polUni",
        "descr= name= nameAlias= ownerKey= ownerTag= pwdStrengthCheck:b=yes",
        "%fabric",
    ),
    class(
        "aaaUser",
        "user-{name}",
        "aaaUserEp",
        "accountStatus:inactive|active=active certAttribute= clearPwdHistory:b=no descr= email= expiration=never \
         expires:b=no firstName= lastName= name:i= nameAlias= ownerKey= ownerTag= phone= pwd= pwdLifeTime:n=0 \
         unixUserId:n=0",
        "%fabric pwdSet:b=yes",
    ),
    class(
        "aaaUserCert",
        "usercert-{name}",
        "aaaUser",
        "data= descr= name:i= nameAlias= ownerKey= ownerTag=",
        "%fabric",
    ),
    class("aaaUserDomain", "userdomain-{name}", "aaaUser", "descr= name:i= nameAlias= ownerKey= ownerTag=", "%fabric"),
    class(
        "aaaUserRole",
        "role-{name}",
        "aaaUserDomain",
        "descr= name:i= nameAlias= ownerKey= ownerTag= privType:readPriv|writePriv=readPriv",
        "%fabric",
    ),
    class(
        "aaaDomain",
        "domain-{name}",
        "aaaUserEp",
        "descr= name:i= nameAlias= ownerKey= ownerTag= restrictedRbacDomain:b=no",
        "%fabric",
    ),
    class(
        "aaaLoginDomain",
        "logindomain-{name}",
        "aaaUserEp",
        "descr= name:i= nameAlias= ownerKey= ownerTag=",
        "%fabric",
    ),
    // The hardware.
    class(
        "fabricPod",
        "pod-{id}",
        "fabricTopology",
        "",
        "id:n= lcOwn=local monPolDn=uni/fabric/monfab-default podType=physical",
    ),
    class(
        "fabricNode",
        "node-{id}",
        "fabricPod",
        "",
        "adSt=on address:a=0.0.0.0 annotation= apicType=apic delayedHeartbeat:b=no extMngdBy= fabricSt=active id:n= \
         lastStateModTs:t=never lcOwn=local model= monPolDn=uni/fabric/monfab-default name= nameAlias= \
         nodeType=unspecified role=leaf serial= uid:n=0 userdom=all vendor= version=",
    ),
    class(
        "topSystem",
        "sys",
        "fabricNode",
        "",
        "address:a=0.0.0.0 bootstrapState=none clusterTimeDiff:n=0 configIssues= controlPlaneMTU:n=9000 \
         currentTime:t=never enforceSubnetCheck:b=no etepAddr:a=0.0.0.0 fabricDomain=fabric fabricId:n=1 \
         fabricMAC=00:22:BD:F8:19:FF id:n=0 inbMgmtAddr:a=0.0.0.0 inbMgmtAddr6:a=:: inbMgmtAddr6Mask:n=0 \
         inbMgmtAddrMask:n=0 inbMgmtGateway:a=0.0.0.0 inbMgmtGateway6:a=:: lastRebootTime:t=never \
         lastResetReason=unknown lcOwn=local mode=unspecified monPolDn=uni/fabric/monfab-default name= nameAlias= \
         nodeType=unspecified oobMgmtAddr:a=0.0.0.0 oobMgmtAddr6:a=:: oobMgmtAddr6Mask:n=0 oobMgmtAddrMask:n=24 \
         oobMgmtGateway:a=0.0.0.0 oobMgmtGateway6:a=:: podId:n=1 remoteNetworkId:n=0 remoteNode:b=no \
         rlOperPodId:n=0 rlRoutableMode:b=no rldirectMode:b=no role=leaf serial= serverType=unspecified siteId:n=0 \
         state=in-service systemUpTime=00:00:00:00.000 tepPool=10.0.0.0/16 unicastXrEpLearnDisable:b=no version= \
         virtualMode:b=no",
    ),
    class("firmwareCtrlrFwStatusCont", "ctrlrfwstatuscont", "topSystem", "", "lcOwn=local monPolDn="),
    class(
        "firmwareCtrlrRunning",
        "ctrlrrunning",
        "firmwareCtrlrFwStatusCont",
        "",
        "applId=0 descr= expectedVer= internalLabel= lcOwn=local mode=normal name=apic type=controller ts:t=never version=",
    ),
    class(
        "l1PhysIf",
        "phys-[{id}]",
        "topSystem",
        "",
        "adminSt=up autoNeg=on brkoutMap=none bw:n=0 delay:n=1 descr= dot1qEtherType=0x8100 emiRetrain=disable \
         ethpmCfgFailedBmp= fcotChannelNumber=Channel32 fecMode=inherit id= inhBw=unspecified layer=Layer2 \
         lcOwn=local linkDebounce:n=100 linkLog=default mdix=auto medium=broadcast mode=trunk \
         monPolDn=uni/infra/moninfra-default mtu:n=9000 name= portT=leaf prioFlowCtrl=auto \
         routerMac=not-applicable snmpTrapSt=enable spanMode=not-a-span-dest speed=inherit switchingSt=disabled \
         usage=discovery",
    ),
    class(
        "ethpmPhysIf",
        "phys",
        "l1PhysIf",
        "",
        "accessVlan=unknown allowedVlans= backplaneMac= bundleBupId:n=1 bundleIndex=unspecified cfgAccessVlan=unknown \
         cfgNativeVlan=unknown currErrIndex:n=4294967295 diags=none errDisTimerRunning:b=no intfT=phy \
         iod:n=0 lastErrors=0 lastLinkStChg:t=never lcOwn=local media=2 monPolDn=uni/infra/moninfra-default \
         nativeVlan=unknown operBitset= operDuplex=full operErrDisQual=none operMode=trunk operRouterMac= \
         operSpeed=10G operSt=up operStQual=none operVlans= portCfgWaitFlags=0 primaryVlan=vlan-1 \
         resetCtr:n=0 txT=unknown usage=epg userCfgdFlags=0 vdcId:n=1",
    ),
    class(
        "eqptCh",
        "ch",
        "topSystem",
        "",
        "descr= hwVer= id:n=1 lcOwn=local model= monPolDn=uni/fabric/monfab-default operSt=online rev= role=leaf ser= vendor=Cisco",
    ),
    class(
        "eqptFtSlot",
        "ftslot-{id}",
        "eqptCh",
        "",
        "id:n= lcOwn=local loc= monPolDn=uni/fabric/monfab-default operSt=inserted physId:n=0 type=fan",
    ),
    class(
        "eqptFt",
        "ft",
        "eqptFtSlot",
        "",
        "descr= fanName= hwVer= id:n=1 lcOwn=local model= monPolDn=uni/fabric/monfab-default operSt=ok rev= ser= vendor=Cisco",
    ),
    class("fabricPathEpCont", "paths-{nodeId}", "fabricPod", "", "lcOwn=local monPolDn= nodeId:n="),
    class(
        "fabricPathEp",
        "pathep-[{name}]",
        "fabricPathEpCont",
        "",
        "lagT=not-aggregated lcOwn=local monPolDn= name= nameAlias= pathT=leaf",
    ),
    // Where policies meet switches.
    class("topLocal", "local", "fabricNode", "", "lcOwn=local"),
    class("topSvc", "svc-{name}", "topLocal", "", "lcOwn=local name="),
    class("fvEppCont", "epp", "polUni", "", "lcOwn=local"),
    class(
        "fvEpP",
        "fv-[{epgPKey}]",
        "fvEppCont",
        "",
        "configIssues= epgDn= epgPKey= lcOwn=local monPolDn=uni/tn-common/monepg-default pcTag:n=0 scopeId:n=0",
    ),
    class("fvLocale", "node-{id}", "fvEpP", "", "id:n= lcOwn=local"),
    class("fvStPathAtt", "stpathatt-[{pathName}]", "fvLocale", "", "descr= lcOwn=local pathName="),
    class(
        "fvNwIssues",
        "nwissues",
        "fvStPathAtt",
        "",
        "configSt=failed-to-apply ctrlrEpgIssues= epgIssues= lcOwn=local",
    ),
    // What hangs anywhere.
    class(
        "healthInst",
        "health",
        "*",
        "",
        "chng:n=0 cur:n=100 maxSev:cleared|info|warning|minor|major|critical=cleared prev:n=100 twScore:n=100 \
         updTs:t=never",
    ),
    class(
        "faultInst",
        "fault-{code}",
        "*",
        "",
        "ack:b=no alert:b=no annotation= cause= changeSet= code= created:t=never delegated:b=no descr= domain= \
         extMngdBy=undefined highestSeverity:cleared|info|warning|minor|major|critical=warning lastTransition:t=never \
         lc:soaking|soaking-clearing|raised|raised-clearing|retaining=raised lcOwn=local occur:n=1 \
         origSeverity:cleared|info|warning|minor|major|critical=warning \
         prevSeverity:cleared|info|warning|minor|major|critical=warning rule= \
         severity:cleared|info|warning|minor|major|critical=warning subject= title= type= uid= userdom=all",
    ),
    class("tagAnnotation", "annotationKey-[{key}]", "*", "key= value=", ""),
    class("tagTag", "tagKey-{key}", "*", "key= value=", ""),
    class("tagInst", "tag-{name}", "*", "name:i=", "%fabric"),
    // Logs.
    class(
        "aaaModLR",
        "mod-{id}",
        "*",
        "",
        "affected= cause=transition changeSet= clientTag= code= created:t=never descr= id:n= \
         ind:creation|modification|deletion=modification sessionId= severity=info trig=config txId:n=0 user=",
    ),
    class(
        "eventRecord",
        "rec-{id}",
        "*",
        "",
        "affected= cause= changeSet= code= created:t=never descr= id:n= ind=state-transition severity=info \
         trig=oper txId:n=0 user=internal",
    ),
];
