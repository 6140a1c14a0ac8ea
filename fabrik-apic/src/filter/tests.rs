use proptest::prelude::*;

use super::*;

fn property(text: &str) -> Property {
    text.parse().unwrap()
}

fn parsed(text: &str) -> (Filter, Vec<String>) {
    Filter::parse_with_warnings(text).unwrap()
}

#[test]
fn spellings_of_clients_mean_the_same() {
    let expected = Filter::and([
        Filter::gt(property("fvIp.vlan"), "10"),
        Filter::allbits(property("fvSubnet.scope"), "public,shared"),
    ]);

    for text in [
        r#"and(gt(fvIp.vlan,"10"),allbits(fvSubnet.scope,"public,shared"))"#,
        r#" and ( gt( fvIp.vlan , 10 ) , allbit(fvSubnet.scope, "public,shared" ) ) "#,
    ] {
        assert_eq!(parsed(text), (expected.clone(), Vec::new()), "{text}");
    }
}

#[test]
fn missing_comma_between_parts_is_tolerated_with_a_warning() {
    let (filter, warnings) = parsed(r#"and(eq(fvBD.name,"a") eq(fvBD.mac,"b"))"#);

    assert_eq!(filter.to_string(), r#"and(eq(fvBD.name,"a"),eq(fvBD.mac,"b"))"#);
    assert_eq!(warnings, [r#"filter: "," is missing at position 22"#]);
}

#[test]
fn one_argument_of_and_stays_one() {
    assert_eq!(parsed(r#"and(eq(fvBD.name,"a"))"#).0, Filter::and([Filter::eq(property("fvBD.name"), "a")]));
}

#[test]
fn errors_name_the_place_and_what_was_expected() {
    for (text, position, expected) in [
        ("", 0, "expected an operator such as eq or and at position 0 of the filter, found the end"),
        ("equal(a.b,1)", 0, "expected an operator"),
        ("eq(a.b,1", 8, "expected \")\" at position 8"),
        ("eq(ab,1)", 3, "expected a property such as fvTenant.name"),
        ("eq(a.b)", 6, "expected \",\" after the property"),
        ("eq(a.b,\"x)", 7, "expected a value that ends with a double quote"),
        ("eq(a.b,)", 7, "expected a value, best in double quotes"),
        ("eq(a.b,1) x", 10, "expected the end of the filter at position 10 of the filter, found \"x\""),
        ("and()", 4, "expected an operator"),
        ("not(true(),true())", 17, "expected one expression"),
    ] {
        let error = text.parse::<Filter>().unwrap_err();

        assert_eq!(error.position(), position, "{text}: {error}");
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
}

#[test]
fn nesting_without_end_is_refused() {
    let text = "not(".repeat(1_000_000);

    let error = text.parse::<Filter>().unwrap_err();

    assert!(error.to_string().contains("no more than 64 nested expressions"), "{error}");
}

#[test]
fn property_refuses_what_could_not_be_read_back() {
    for text in ["", "a", ".b", "a.", "a b.c", "a.b\"", "a.b,c", "a.b.c"] {
        assert!(text.parse::<Property>().is_err(), "{text:?}");
    }
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let property = ("[a-z][a-zA-Z0-9]{0,5}", "[a-z_][a-zA-Z0-9_]{0,5}")
        .prop_map(|(class, name)| Property::new(&class, &name).unwrap());
    let operators = prop::sample::select(Operator::NAMES.map(|(operator, _)| operator).to_vec());
    let leaf = prop_oneof![
        any::<bool>().prop_map(|value| Expression::Constant(value).into()),
        (operators, property.clone(), any::<String>()).prop_map(|(operator, property, value)| Expression::Test {
            operator,
            property,
            value
        }
        .into()),
        (property, any::<String>(), "[\"\\\\,()a]{0,6}")
            .prop_map(|(property, low, high)| Filter::bw(property, low, high)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::and),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::or),
            (inner.clone(), inner.clone()).prop_map(|(first, second)| Filter::xor(first, second)),
            inner.prop_map(Filter::not),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_parses_back_without_warnings(filter in any_filter()) {
        prop_assert_eq!(Filter::parse_with_warnings(&filter.to_string()), Ok((filter, Vec::new())));
    }

    #[test]
    fn arbitrary_text_gives_an_error_or_a_filter_that_can_be_printed(
        text in prop_oneof![any::<String>(), "[a-z.,()\"\\\\ ]{0,40}", "(and|eq|not|bw|true)\\([a-z.,()\" ü]{0,40}"],
    ) {
        if let Ok(filter) = text.parse::<Filter>() {
            prop_assert_eq!(filter.to_string().parse::<Filter>(), Ok(filter));
        }
    }
}
