//! All routes of the API, each declared once.
//!
//! From one declaration come the route with and without its last slash, the operation in the OpenAPI document, the
//! check of who may, and the throttle. A route cannot be declared without saying who may call it.

mod guard;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::describe::{DescribedHandler, Operation};
use super::error::ApiError;
use super::model::{Model, Verb};
use super::openapi::{self, Document};
use super::resource::Resource;
use super::state::AppState;
use super::throttle::Scope;
use super::validate::Components;

pub(crate) use guard::CallerSlot;

/// Who may call a route. What a caller may see of a list or a record is the resource's matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Whoever is logged in.
    Login,
    /// Who has the permission with this codename, and administrators.
    Permission(Cow<'static, str>),
    /// Administrators: superusers and members of the group Admin.
    Admin,
}

/// One route.
pub(crate) struct Route {
    pub(crate) meta: Meta,
    handler: MethodRouter<AppState>,
    describe: fn(&mut Operation<'_>),
}

/// What is known of a route beside its handler.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    pub(crate) method: Method,
    pub(crate) path: Arc<str>,
    pub(crate) id: Cow<'static, str>,
    pub(crate) about: Cow<'static, str>,
    pub(crate) access: Access,
    pub(crate) scope: Option<Scope>,
    /// Whether the general rates do not hold; zones and the scope do.
    pub(crate) is_exempt: bool,
    pub(crate) errors: Vec<u16>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.meta.fmt(f)
    }
}

impl Route {
    fn new<H, T>(
        method: Method,
        filter: MethodFilter,
        path: &str,
        id: Cow<'static, str>,
        access: Access,
        handler: H,
    ) -> Self
    where
        H: DescribedHandler<T>,
        T: 'static,
    {
        assert!(path.ends_with('/'), "{path} needs its last slash");
        let meta = Meta {
            method,
            path: path.into(),
            id,
            about: "".into(),
            access,
            scope: None,
            is_exempt: false,
            errors: Vec::new(),
        };
        Self { meta, handler: on(filter, handler), describe: H::describe }
    }

    /// Says in a sentence what the route does.
    pub(crate) fn about(mut self, about: impl Into<Cow<'static, str>>) -> Self {
        self.meta.about = about.into();
        self
    }

    /// Limits how often it may be called, beside the general rates.
    pub(crate) fn throttle(mut self, scope: Scope) -> Self {
        self.meta.scope = Some(scope);
        self
    }

    /// Takes it out of the general rates.
    pub(crate) fn exempt(mut self) -> Self {
        self.meta.is_exempt = true;
        self
    }

    /// Adds statuses with which it may fail, beside those that its arguments bring.
    pub(crate) fn errors(mut self, statuses: &[u16]) -> Self {
        self.meta.errors.extend(statuses);
        self
    }
}

macro_rules! verbs {
    ($($name:ident $method:ident $verb:literal)*) => {
        impl Route {
            $(
                #[doc = concat!("Declares a ", $verb, " at a path that ends in a slash.")]
                pub(crate) fn $name<H, T>(path: &str, id: impl Into<Cow<'static, str>>, access: Access, handler: H) -> Self
                where
                    H: DescribedHandler<T>,
                    T: 'static,
                {
                    Self::new(Method::$method, MethodFilter::$method, path, id.into(), access, handler)
                }
            )*
        }
    };
}

verbs! {
    get GET "GET"
    post POST "POST"
    put PUT "PUT"
    patch PATCH "PATCH"
    delete DELETE "DELETE"
}

/// All routes, while they are declared.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    routes: Vec<Route>,
    models: Vec<&'static Model>,
}

impl Registry {
    /// Adds a route.
    pub(crate) fn add(&mut self, route: Route) {
        self.routes.push(route);
    }

    /// Adds the routes of a resource at a path that ends in a slash.
    pub(crate) fn resource<R: Resource>(&mut self, path: &str) {
        self.models.push(R::model());
        self.routes.extend(super::resource::routes::<R>(path));
    }

    /// Writes the document of all that was declared.
    pub(crate) fn finish(self) -> (Api, Vec<Route>) {
        let mut metas: Vec<_> = self.routes.iter().map(|route| route.meta.clone()).collect();
        metas.sort_by(|one, other| (&*one.path, one.method.as_str()).cmp(&(&*other.path, other.method.as_str())));
        let ids: BTreeSet<_> = metas.iter().map(|meta| &meta.id).collect();
        assert_eq!(ids.len(), metas.len(), "every route has an id of its own");
        let (document, components) = openapi::document(&self.routes);
        let mut codenames = BTreeMap::new();
        for model in &self.models {
            for verb in Verb::ALL {
                let about = format!("Can {} {}", verb.word(), model.name.replace('_', " "));
                codenames.insert(model.codename(verb), about);
            }
        }
        for meta in &metas {
            if let Access::Permission(codename) = &meta.access {
                codenames.entry(codename.to_string()).or_insert_with(|| meta.about.to_string());
            }
        }
        (Api { metas, document, components, codenames }, self.routes)
    }
}

impl Route {
    /// Writes what the handler takes and gives.
    pub(crate) fn describe(&self, operation: &mut Operation<'_>) {
        (self.describe)(operation);
    }
}

/// All routes as they were declared: what the document, the permissions and the checks come from.
#[derive(Debug)]
pub(crate) struct Api {
    metas: Vec<Meta>,
    document: Document,
    components: Components,
    codenames: BTreeMap<String, String>,
}

impl Api {
    /// Returns the routes by path and verb.
    pub(crate) fn metas(&self) -> &[Meta] {
        &self.metas
    }

    /// Returns the OpenAPI document.
    pub(crate) fn document(&self) -> &Document {
        &self.document
    }

    /// Returns the schemas by name.
    pub(crate) fn components(&self) -> &Components {
        &self.components
    }

    /// Returns the codenames of all permissions, and what each allows.
    pub(crate) fn codenames(&self) -> &BTreeMap<String, String> {
        &self.codenames
    }
}

/// Puts routes behind their checks, with and without the last slash.
pub(crate) fn mount(routes: Vec<Route>, state: &AppState) -> Router<AppState> {
    let mut by_path: BTreeMap<Arc<str>, MethodRouter<AppState>> = BTreeMap::new();
    for route in routes {
        let path = Arc::clone(&route.meta.path);
        let guarded =
            route.handler.route_layer(from_fn_with_state((state.clone(), Arc::new(route.meta)), guard::guard));
        let merged = by_path.remove(&path).unwrap_or_default().merge(guarded);
        by_path.insert(path, merged);
    }
    let mut router = Router::new();
    for (path, methods) in by_path {
        let bare = path.trim_end_matches('/').to_owned();
        router = router.route(&path, methods.clone());
        if !bare.is_empty() {
            router = router.route(&bare, methods);
        }
    }
    router
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async |method: Method| ApiError::MethodNotAllowed(method.to_string()))
}
