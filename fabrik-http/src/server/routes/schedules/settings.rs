//! What new tasks get unless told: everybody reads it, administrators change it.

use crate::server::audit::Category;
use crate::server::error::ApiError;
use crate::server::model::{Field, Kind, Model, Record, Verb};
use crate::server::registry::{Access, Registry};
use crate::server::resource::{Audited, Resource};
use crate::server::schedules::SETTINGS;
use crate::server::state::AppState;

pub(super) fn declare(registry: &mut Registry) {
    registry.resource::<TaskSettings>("/api/queries/task-settings/");
}

/// The one row of settings.
struct TaskSettings;

static MODEL: Model = Model {
    app: "queries",
    name: "task_settings",
    title: "TaskSettings",
    table: SETTINGS,
    default_order: "id",
    fields: &[
        Field::new("id", Kind::Integer, "always 1"),
        Field::new("default_retry_count", Kind::Range { least: 0, most: 100 }, "how often new tasks try again")
            .required(),
        Field::new(
            "default_retry_interval_minutes",
            Kind::Range { least: 0, most: 1440 },
            "how long new tasks rest before they try again",
        )
        .required(),
        Field::new(
            "default_log_retention_days",
            Kind::Range { least: 1, most: 3650 },
            "how long executions of new tasks are kept",
        )
        .required(),
        Field::new("email_enabled", Kind::Boolean, "whether tasks send the mails that they are told to").required(),
        Field::new("email_from_address", Kind::Text { least: 0, most: 254 }, "whom mail comes from; set by email.from")
            .computed(),
    ],
};

impl Resource for TaskSettings {
    const VERBS: &'static [Verb] = &[Verb::View, Verb::Change];
    const AUDIT: Option<Audited> = Some(Audited {
        category: Category::SettingsChange,
        created: "",
        updated: "task_settings_updated",
        deleted: "",
        name: "",
    });

    fn model() -> &'static Model {
        &MODEL
    }

    fn access(verb: Verb) -> Access {
        if verb == Verb::View { Access::Login } else { Access::Admin }
    }

    async fn complete(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
        for record in records {
            record.insert("email_from_address".into(), state.settings().email.from.as_str().into());
        }
        Ok(())
    }
}
