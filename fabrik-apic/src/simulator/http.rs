//! Requests and what answers them.
//!
//! There is one handler for all paths, because a path may hold brackets, quotes and whole DNs, and because doubled
//! slashes must not matter.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Request as HttpRequest, State as AppState};
use axum::http::Method;
use axum::http::header::ACCEPT_ENCODING;
use axum::response::Response;
use bytes::Bytes;
use percent_encoding::percent_decode_str;

use super::call::Call;
use super::error::ApicError;
use super::event::Event;
use super::fault::Fault;
use super::login::{self, Caller, authenticate};
use super::meta;
use super::query::{Request, parse_target};
use super::render::{Answer, Format};
use super::reply::Reply;
use super::served::Served;
use super::socket;
use super::spoil::{spoil, with_last_object_of, without_objects};
use super::state::State;
use super::write::PostObject;
use crate::demo::Churn;

/// No body that configures a fabric is longer.
const LONGEST_BODY: usize = 64 << 20;

/// Answers a request.
pub(super) async fn serve(AppState(state): AppState<Arc<State>>, request: HttpRequest) -> Response {
    let (parts, body) = request.into_parts();
    let method = parts.method.to_string();
    if parts.uri.path().starts_with(socket::PREFIX) {
        let response = socket::open(Arc::clone(&state), parts).await;
        let status = response.status().as_u16();
        state.log.push(Served { method, target: socket::PREFIX.to_owned(), status, warnings: Vec::new() });
        return response;
    }
    let _under_way = state.log.enter();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let mut reply = match to_bytes(body, LONGEST_BODY).await {
        Ok(body) => {
            answer(&state, &Call { method: parts.method, target: target.clone(), headers: parts.headers, body }).await
        }
        Err(_) => Reply::html(413),
    };
    let warnings = std::mem::take(&mut reply.warnings);
    state.log.push(Served { method, target, status: reply.status, warnings });
    reply.into_response()
}

async fn answer(state: &State, call: &Call) -> Reply {
    if let Err(refusal) = state.throttle.admit() {
        return Reply::html(refusal.status).with_retry_after(refusal.retry_after);
    }
    let faults = state.rules.take(&call.target);
    for fault in &faults {
        match fault {
            Fault::Slow { delay } => tokio::time::sleep(*delay).await,
            Fault::HtmlPage { status } => return Reply::html(*status),
            Fault::Refused { status, retry_after } => return Reply::html(*status).with_retry_after(*retry_after),
            Fault::ExpiredToken => expire_session(state, call),
            _ => {}
        }
    }
    let accepts_gzip = call.headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let accepts_gzip = accepts_gzip.is_some_and(|value| value.contains("gzip"));
    // A query of a large class takes a while, in which the other worker must not wait behind this one.
    let mut reply = tokio::task::block_in_place(|| route(state, call, &faults));
    spoil(&mut reply, &faults);
    reply.with_gzip(state.options.gzip && accepts_gzip)
}

fn route(state: &State, call: &Call, faults: &[Fault]) -> Reply {
    let Some((address, format)) = call.address() else { return Reply::html(404) };
    let result = match (address.as_str(), &call.method) {
        ("/api/aaaLogin", &Method::POST) => login::login(state, call, format),
        ("/api/aaaRefresh", &Method::GET | &Method::POST) => login::refresh(state, call, format),
        ("/api/aaaLogout", &Method::POST) => login::logout(state, call, format),
        ("/api/requestAppToken", &Method::POST) => login::app_token(state, call, format),
        ("/api/aaaListDomains", &Method::GET) => Ok(login::list_domains(state, format)),
        ("/api/subscriptionRefresh", &Method::GET | &Method::POST) => refresh_subscription(state, call, format),
        ("/api/checkRequestState", &Method::GET) => check_pending(state, call, format),
        (address, &Method::GET) if address.starts_with(meta::PREFIX) && format == Format::Json => {
            let described = meta::describe(&address[meta::PREFIX.len()..]);
            return described.map_or_else(|| Reply::html(404), |body| Reply::ok(body, format));
        }
        (address, method) => match (Managed::of(address), method) {
            (Some(_), &Method::GET) => query(state, call, faults),
            (Some(Managed::Object), &Method::POST) => post(state, call, faults),
            (Some(Managed::Object), &Method::DELETE) => delete(state, call),
            (Some(_), _) => return Reply::html(405),
            (None, _) => return Reply::html(404),
        },
    };
    result.unwrap_or_else(|error| Reply::error(&error, format))
}

/// What of the fabric is below a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Managed {
    /// All objects of a class.
    Class,
    /// An object by its DN, or none at all: the DNs of a POST may be in its body.
    Object,
}

impl Managed {
    fn of(address: &str) -> Option<Self> {
        let rest = address.strip_prefix("/api/")?;
        let rest = rest.strip_prefix("node/").unwrap_or(rest);
        match rest.split_once('/').map_or(rest, |(kind, _)| kind) {
            "class" => Some(Self::Class),
            "mo" => Some(Self::Object),
            _ => None,
        }
    }
}

fn query(state: &State, call: &Call, faults: &[Fault]) -> Result<Reply, ApicError> {
    let caller = authenticate(state, call)?;
    let request = Request::parse(call.path(), call.query())?;
    for fault in faults {
        match fault {
            Fault::ResolveTimeout => return Err(resolve_timeout()),
            Fault::LostNode { node } if needs_node(state, call, *node) => return Err(resolve_timeout()),
            Fault::Shrink { objects } => shrink(state, call, *objects),
            Fault::Grow { objects } => {
                state.churn(&Churn { added: *objects, ..Churn::default() });
            }
            _ => {}
        }
    }
    // The fabric stays as it is until the subscription stands: no event is lost between the two.
    let mit = state.mit();
    let answer = mit.query(&request, state.options.max_objects)?;
    let total_count = answer.total_count();
    for fault in faults {
        if let Fault::TooBig { status, threshold } = fault
            && total_count > *threshold
        {
            let text = "Unable to process the query, result dataset is too big";
            return Err(ApicError::new(*status, u32::from(*status), text));
        }
    }
    let subscription = match (&caller, request.subscription()) {
        (Caller::Session(session), Some(_)) => {
            Some(state.subscriptions().subscribe(&session.id, &request, state.now()))
        }
        (Caller::Signer(_), Some(_)) => {
            return Err(ApicError::bad_request(400, "A subscription needs a session with a webtoken"));
        }
        (_, None) => None,
    };
    let format = request.format();
    let mut body = answer.into_bytes(subscription.as_deref());
    for fault in faults {
        match fault {
            Fault::BusyPage if total_count > 0 => body = without_objects(&body, format),
            Fault::RepeatedObject if format == Format::Json => {
                if let Some(page @ 1..) = call.param("page").and_then(|page| page.parse::<u64>().ok()) {
                    let query = format!("{}&page={}", call.query().unwrap_or_default(), page - 1);
                    let before = Request::parse(call.path(), Some(&query))?;
                    body = with_last_object_of(&body, &mit.query(&before, usize::MAX)?.into_bytes(None));
                }
            }
            _ => {}
        }
    }
    let mut reply = Reply::ok(body, format);
    reply.warnings = request.warnings().to_vec();
    Ok(reply)
}

fn resolve_timeout() -> ApicError {
    let text = "Unable to deliver the message, Resolve timeout from (type/num/svc/shard) = apic:1:7:1, apic:1:7:2";
    ApicError::new(503, 503, text)
}

/// Returns whether a query names a node or matches objects below it.
fn needs_node(state: &State, call: &Call, node: u32) -> bool {
    let name = format!("node-{node}");
    let target = percent_decode_str(&call.target).decode_utf8_lossy();
    let mut named = target.match_indices(&name).map(|(at, _)| &target[at + name.len()..]);
    if named.any(|rest| !rest.starts_with(|next: char| next.is_ascii_digit())) {
        return true;
    }
    let below = format!("/{name}/");
    matched(state, call, usize::MAX).iter().any(|dn| dn.starts_with("topology/") && dn.contains(&below))
}

/// Removes the first objects that a query matches.
fn shrink(state: &State, call: &Call, objects: usize) {
    for dn in matched(state, call, objects) {
        // Nothing can go wrong in it.
        let _ = state.change(|mit| Ok(mit.vanish(&dn)));
    }
}

/// Returns the DNs of the first objects that a query matches, whatever page it asks for.
fn matched(state: &State, call: &Call, objects: usize) -> Vec<String> {
    let path = call.path().strip_suffix(".xml").map_or(call.path().to_owned(), |stem| format!("{stem}.json"));
    let query = format!("{}&page=0&page-size={objects}", call.query().unwrap_or_default());
    let Ok(body) = state.answer(&path, Some(&query)) else { return Vec::new() };
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let found = body["imdata"].as_array().map_or(&[][..], Vec::as_slice);
    let objects = found.iter().filter_map(|object| object.as_object()?.values().next());
    objects.filter_map(|object| object["attributes"]["dn"].as_str()).map(String::from).collect()
}

fn expire_session(state: &State, call: &Call) {
    if let Ok(Caller::Session(session)) = authenticate(state, call) {
        state.sessions().close(&session.id);
        state.sweep();
    }
}

fn post(state: &State, call: &Call, faults: &[Fault]) -> Result<Reply, ApicError> {
    let caller = authenticate(state, call)?;
    let (dn, format) = parse_target(call.path())?;
    let body = PostObject::parse(&call.body, format)?;
    let author = state.author(caller.user(), caller.session_id());
    let events = state.change(|mit| mit.post(dn.as_deref(), &body, &author))?;
    for fault in faults {
        if let Fault::Pending { polls } = fault {
            return Err(in_progress(state.begin_pending(*polls)));
        }
    }
    let wants_changes = call.param("rsp-subtree").is_some_and(|value| value == "modified");
    let answer = if wants_changes { Event::answer(&events, format) } else { Answer::empty(format) };
    Ok(Reply::ok(answer.into_bytes(None), format))
}

fn delete(state: &State, call: &Call) -> Result<Reply, ApicError> {
    let caller = authenticate(state, call)?;
    let (Some(dn), format) = parse_target(call.path())? else {
        return Err(ApicError::bad_request(107, "Invalid request: cannot delete the root of all objects"));
    };
    let author = state.author(caller.user(), caller.session_id());
    state.change(|mit| mit.delete(&dn, &author))?;
    Ok(Reply::ok(empty(format), format))
}

fn empty(format: Format) -> Bytes {
    Answer::empty(format).into_bytes(None)
}

fn refresh_subscription(state: &State, call: &Call, format: Format) -> Result<Reply, ApicError> {
    let Caller::Session(session) = authenticate(state, call)? else {
        return Err(ApicError::bad_request(400, "A subscription needs a session with a webtoken"));
    };
    let lifetime = call.param("refresh-timeout").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let id = call.param("id").unwrap_or_default();
    if state.subscriptions().refresh(&session.id, &id, lifetime, state.now()) {
        Ok(Reply::ok(empty(format), format))
    } else {
        Err(ApicError::bad_request(400, format!("Subscription {id} is not active, subscribe again")))
    }
}

fn in_progress(id: u64) -> ApicError {
    let url = format!("/api/checkRequestState.xml?id={id}");
    ApicError::new(202, 202, format!("Request in progress, please check state using URL: {url}"))
}

fn check_pending(state: &State, call: &Call, format: Format) -> Result<Reply, ApicError> {
    authenticate(state, call)?;
    let mut pending = state.pending.lock().unwrap_or_else(PoisonError::into_inner);
    let found = call.param("id").and_then(|id| id.parse().ok()).and_then(|id: u64| Some((id, pending.get_mut(&id)?)));
    match found {
        Some((id, polls)) if *polls > 0 => {
            *polls -= 1;
            Err(in_progress(id))
        }
        _ => Ok(Reply::ok(empty(format), format)),
    }
}

#[cfg(test)]
mod tests {
    use super::Managed;

    #[test]
    fn paths_of_the_fabric_are_told_from_all_others() {
        for (address, expected) in [
            ("/api/class/fvTenant", Some(Managed::Class)),
            ("/api/node/class/topology/pod-1/node-101/faultInst", Some(Managed::Class)),
            ("/api/mo", Some(Managed::Object)),
            ("/api/node/mo/uni/tn-a", Some(Managed::Object)),
            ("/api/monitor", None),
            ("/api/aaaLogin", None),
            ("/api", None),
            ("/index", None),
            ("/api/v1/class/fvTenant", None),
        ] {
            assert_eq!(Managed::of(address), expected, "{address}");
        }
    }
}
