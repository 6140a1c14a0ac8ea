//! What the log keeps, and for how long.

use axum::extract::State;

use crate::server::audit::{Category, SETTINGS, SETTINGS_UPDATED, with_categories};
use crate::server::caller::Caller;
use crate::server::error::ApiError;
use crate::server::model::{Field, Kind, Model, Verb};
use crate::server::registry::{Access, Registry, Route};
use crate::server::resource::{Audited, ChangedRecord, Key, Resource, Shown, show, write};
use crate::server::state::AppState;

pub(super) fn declare(registry: &mut Registry) {
    let path = "/api/audit/settings/";
    registry.add(
        Route::get(path, "audit_settings_retrieve", Access::Admin, retrieve)
            .about("Returns what the log keeps, and for how long."),
    );
    registry.add(
        Route::put(path, "audit_settings_replace", Access::Admin, change::<true>)
            .about("Replaces what the log keeps, and for how long."),
    );
    registry.add(
        Route::patch(path, "audit_settings_update", Access::Admin, change::<false>)
            .about("Changes what the log keeps, and for how long."),
    );
}

/// The settings of the log.
struct AuditSettings;

/// The key of the one row there is.
const ONLY: Key = Key::Number(1);

macro_rules! settings_fields {
    ($($variant:ident $name:literal $title:literal)*) => {
        &[
            Field::new("id", Kind::Integer, "always 1").hidden(),
            $(
                Field::new(
                    concat!($name, "_enabled"),
                    Kind::Boolean,
                    concat!("whether rows are kept of: ", $title),
                )
                .required(),
                Field::new(
                    concat!($name, "_retention_days"),
                    Kind::Range { least: 0, most: 3650 },
                    concat!("for how many days rows are kept, 0 is for ever: ", $title),
                )
                .required(),
            )*
            Field::new("max_content_size_mb", Kind::Range { least: 0, most: 100 }, "longer content is cut, in MiB")
                .required(),
            Field::new("compress_large_content", Kind::Boolean, "whether content above 1 MiB is kept in gzip")
                .required(),
            Field::new("auto_cleanup_enabled", Kind::Boolean, "whether what is too old is forgotten daily").required(),
            Field::new("cleanup_time_hour", Kind::Range { least: 0, most: 23 }, "at which hour, in UTC").required(),
            Field::new("last_cleanup_at", Kind::Moment, "when that was done last").nullable(),
        ]
    };
}

static AUDIT_SETTINGS: Model = Model {
    app: "audit",
    name: "settings",
    title: "AuditSettings",
    table: SETTINGS,
    default_order: "id",
    fields: with_categories!(settings_fields),
};

impl Resource for AuditSettings {
    const AUDIT: Option<Audited> = Some(Audited {
        category: Category::SettingsChange,
        created: SETTINGS_UPDATED,
        updated: SETTINGS_UPDATED,
        deleted: SETTINGS_UPDATED,
        name: "",
    });

    fn model() -> &'static Model {
        &AUDIT_SETTINGS
    }

    fn access(_verb: Verb) -> Access {
        Access::Admin
    }
}

async fn retrieve(State(state): State<AppState>, caller: Caller) -> Result<Shown<AuditSettings>, ApiError> {
    show(&state, &caller, ONLY).await
}

async fn change<const WHOLE: bool>(
    State(state): State<AppState>,
    caller: Caller,
    body: ChangedRecord<AuditSettings, WHOLE>,
) -> Result<Shown<AuditSettings>, ApiError> {
    write::<AuditSettings>(&state, &caller, Some(ONLY), body.values).await?;
    show(&state, &caller, ONLY).await
}
