//! The formats, by class.
pub(super) const FORMATS: &[(&str, &str)] = &[
    ("fvRsCtx", "rsctx"),
    ("fvSubnet", "subnet-[{ip}]"),
    ("fvTenant", "tn-{name}"),
    ("fvnsEncapBlk", "from-[{from}]-to-[{to}]"),
    ("polUni", "uni"),
];
