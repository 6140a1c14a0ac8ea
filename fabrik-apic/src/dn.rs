//! Distinguished names: where their relative names begin and end.
//!
//! A `/` separates relative names only outside brackets, and brackets nest: the last relative name of
//! `uni/tn-a/ap-b/epg-c/rspathAtt-[topology/pod-1/paths-101/pathep-[eth1/1]]` is everything from `rspathAtt` on.

/// Returns the relative names of a DN, from the root down. Joined with `/` they give the DN again.
///
/// A DN whose brackets do not match cannot be cut reliably and is one relative name.
pub fn split(dn: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(dn);
    let balanced = is_balanced(dn);
    std::iter::from_fn(move || {
        let text = rest?;
        let cut = if balanced { first_separator(text) } else { None };
        let (rn, after) = match cut {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        rest = after;
        Some(rn)
    })
}

/// Returns the DN of the parent; `None` for a root and for a DN whose brackets do not match.
#[must_use]
pub fn parent(dn: &str) -> Option<&str> {
    if !is_balanced(dn) {
        return None;
    }
    let mut depth = 0_usize;
    for (at, byte) in dn.bytes().enumerate().rev() {
        match byte {
            b']' => depth += 1,
            b'[' => depth -= 1,
            b'/' if depth == 0 => return Some(&dn[..at]),
            _ => {}
        }
    }
    None
}

fn first_separator(balanced: &str) -> Option<usize> {
    let mut depth = 0_usize;
    balanced.bytes().position(|byte| {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        byte == b'/' && depth == 0
    })
}

pub(crate) fn is_balanced(dn: &str) -> bool {
    let mut depth = 0_usize;
    for byte in dn.bytes() {
        match byte {
            b'[' => depth += 1,
            b']' if depth == 0 => return false,
            b']' => depth -= 1,
            _ => {}
        }
    }
    depth == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slashes_inside_brackets_do_not_separate() {
        let dn = "uni/tn-a/out-b/lifp-[x/y]/rspathL3OutAtt-[topology/pod-1/paths-101/pathep-[eth1/13]]";

        let rns: Vec<&str> = split(dn).collect();

        assert_eq!(
            rns,
            ["uni", "tn-a", "out-b", "lifp-[x/y]", "rspathL3OutAtt-[topology/pod-1/paths-101/pathep-[eth1/13]]"]
        );
        assert_eq!(parent(dn), Some("uni/tn-a/out-b/lifp-[x/y]"));
    }

    #[test]
    fn text_may_follow_a_closing_bracket() {
        let dn = "resPolCont/fd-[uni/tn-T/out-O]-fault-F0467/x";

        assert_eq!(split(dn).collect::<Vec<_>>(), ["resPolCont", "fd-[uni/tn-T/out-O]-fault-F0467", "x"]);
    }

    #[test]
    fn unbalanced_brackets_make_one_root() {
        for dn in ["uni/tn-[a/b", "uni/tn-a]/b", "uni/]a[/b"] {
            assert_eq!(split(dn).collect::<Vec<_>>(), [dn]);
            assert_eq!(parent(dn), None);
        }
    }

    #[test]
    fn root_has_no_parent() {
        assert_eq!(parent("uni"), None);
        assert_eq!(parent(""), None);
    }

    proptest! {
        #[test]
        fn any_text_is_cut_and_its_parent_is_a_part_of_it(dn in any::<String>()) {
            prop_assert_eq!(split(&dn).collect::<Vec<_>>().join("/"), dn.clone());
            let parent = parent(&dn);
            prop_assert!(parent.is_none_or(|parent| dn[parent.len()..].starts_with('/')));
            prop_assert_eq!(parent.is_none(), split(&dn).count() == 1);
        }

        #[test]
        fn joining_what_was_split_gives_the_dn(dn in "[a-c/\\[\\]-]{0,40}") {
            prop_assert_eq!(split(&dn).collect::<Vec<_>>().join("/"), dn);
        }

        #[test]
        fn parent_is_all_but_the_last_relative_name(dn in "([a-c]{1,3}(-\\[[a-c/]{0,5}(\\[[a-c/]{0,3}\\])?\\])?/?){0,6}") {
            let rns: Vec<&str> = split(&dn).collect();

            match parent(&dn) {
                Some(parent) => {
                    prop_assert!(dn.starts_with(parent));
                    prop_assert_eq!(split(parent).collect::<Vec<_>>(), &rns[..rns.len() - 1]);
                }
                None => prop_assert_eq!(rns.len(), 1),
            }
        }
    }
}
