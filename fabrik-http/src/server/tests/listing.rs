//! Lists against a simple model: a vector that is filtered, sorted and cut.

use proptest::prelude::*;
use url::form_urlencoded::Serializer;

use super::*;

#[derive(Clone, Debug)]
struct Sample {
    title: String,
    text: String,
    rank: i64,
    is_open: bool,
}

fn samples() -> Vec<Sample> {
    let words = ["Bridge", "subnet", "100%", "a_b", "Leaf", "back\\slash", "x'); DROP TABLE test_note; --"];
    (0..23)
        .map(|i| Sample {
            title: format!("{} {}", words[i % 7], i),
            text: words[(i * 5 + 3) % 7].to_owned(),
            rank: i64::try_from(i * 7 % 5).unwrap(),
            is_open: i % 3 == 0,
        })
        .collect()
}

#[derive(Clone, Debug)]
struct Wish {
    rank: Option<i64>,
    is_open: Option<bool>,
    search: String,
    ordering: &'static str,
    size: u64,
}

fn wish() -> impl Strategy<Value = Wish> {
    let word =
        prop_oneof![Just("LEAF"), Just("%"), Just("_"), Just("\\"), Just("'"), Just("1"), Just("e"), Just("drop")];
    let search = prop::collection::vec(word, 0..3).prop_map(|words| words.join(" "));
    let ordering = prop_oneof![
        Just(""),
        Just("title"),
        Just("-title"),
        Just("rank,-title"),
        Just("is_open,title"),
        Just("nothing,text"),
        Just("-rank,rank"),
    ];
    (prop::option::of(0..6_i64), any::<Option<bool>>(), search, ordering, 1..30_u64)
        .prop_map(|(rank, is_open, search, ordering, size)| Wish { rank, is_open, search, ordering, size })
}

fn expected(wish: &Wish) -> Vec<String> {
    let mut found: Vec<_> = samples()
        .into_iter()
        .filter(|note| {
            wish.rank.is_none_or(|rank| note.rank == rank) && wish.is_open.is_none_or(|open| note.is_open == open)
        })
        .filter(|note| {
            let (title, text) = (note.title.to_lowercase(), note.text.to_lowercase());
            wish.search
                .split_whitespace()
                .map(str::to_lowercase)
                .all(|word| title.contains(&word) || text.contains(&word))
        })
        .collect();
    // The key was made in this order, so a stable sort puts equal values as the list does.
    match wish.ordering {
        "title" => found.sort_by(|one, other| one.title.cmp(&other.title)),
        "-title" => found.sort_by(|one, other| other.title.cmp(&one.title)),
        "rank,-title" => found.sort_by(|one, other| one.rank.cmp(&other.rank).then(other.title.cmp(&one.title))),
        "is_open,title" => found.sort_by(|one, other| (one.is_open, &one.title).cmp(&(other.is_open, &other.title))),
        "-rank,rank" => found.sort_by_key(|note| std::cmp::Reverse(note.rank)),
        _ => found.sort_by_key(|note| note.rank),
    }
    found.into_iter().map(|note| note.title).collect()
}

fn address(wish: &Wish) -> String {
    let mut query = Serializer::new(String::new());
    query.extend_pairs(wish.rank.map(|rank| ("rank", rank.to_string())));
    query.extend_pairs(wish.is_open.map(|open| ("is_open", open.to_string())));
    query.append_pair("search", &wish.search).append_pair("ordering", wish.ordering);
    query.append_pair("page_size", &wish.size.to_string()).append_pair("unknown", "x");
    format!("/api/test/notes?{}", query.finish())
}

/// Follows `next` to the end and checks each envelope on the way.
async fn walk(server: &Server, token: &str, wish: &Wish) -> Vec<String> {
    let mut titles = Vec::new();
    let mut before: Option<String> = None;
    let mut next = Some(format!("http://fab.lab{}", address(wish)));
    while let Some(address) = next {
        let path = address.strip_prefix("http://fab.lab").expect("links are absolute");
        let reply = server.get(path, token).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.body["previous"].as_str().is_some(), before.is_some());
        let results = reply.body["results"].as_array().unwrap();
        assert!(results.len() as u64 <= wish.size);
        titles.extend(results.iter().map(|note| note["title"].as_str().unwrap().to_owned()));
        next = reply.body["next"].as_str().map(str::to_owned);
        let is_last = titles.len() as u64 == reply.body["count"].as_u64().unwrap();
        assert_eq!(next.is_none(), is_last);
        before = Some(address);
    }
    titles
}

#[test]
fn walking_the_pages_gives_what_the_model_gives() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (server, token) = runtime.block_on(async {
        let server = Server::start().await;
        let token = server.user("admin", &[], true).await;
        for note in samples() {
            let body = json!({ "title": note.title, "text": note.text, "rank": note.rank, "is_open": note.is_open });
            let reply = server.call(Method::POST, "/api/test/notes/", Some(&token), body).await;
            assert_eq!(reply.status, 201, "{}", reply.body);
        }
        (server, token)
    });
    let mut config = ProptestConfig::with_cases(96);
    config.failure_persistence = None;

    proptest!(config, |(wish in wish())| {
        prop_assert_eq!(runtime.block_on(walk(&server, &token, &wish)), expected(&wish));
    });
}

#[tokio::test]
async fn bad_filters_are_named_and_bad_pages_not_found() {
    let server = Server::start().await;
    let token = server.user("admin", &[], true).await;
    let get = async |query: &str| {
        let reply = server.get(&format!("/api/test/notes/?{query}"), &token).await;
        (reply.status, reply.body)
    };

    let bad = json!({ "rank": ["A valid integer is required."], "is_open": ["Must be a valid boolean."] });
    assert_eq!(get("rank=x&is_open=maybe").await, (400, bad));
    assert_eq!(get("page=2").await, (404, json!({ "detail": "Invalid page." })));
    assert_eq!(get("page=0").await, (404, json!({ "detail": "Invalid page." })));
    assert_eq!(get("search=%00").await.0, 400);
    assert_eq!(get("title=%25&ordering=;DROP&owner_id=1").await.0, 200);
    assert_eq!(get("").await.1, json!({ "count": 0, "next": null, "previous": null, "results": [] }));
}
