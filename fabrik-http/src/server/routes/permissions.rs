//! The permissions there are.

use serde_json::{Value, json};

use crate::server::error::ApiError;
use crate::server::model::{Field, Kind, Model, Record, Verb};
use crate::server::permissions::{category, is_dangerous};
use crate::server::registry::{Access, Registry};
use crate::server::resource::Resource;
use crate::server::state::AppState;

pub(super) fn declare(registry: &mut Registry) {
    registry.resource::<Permissions>("/api/auth/permissions/");
}

struct Permissions;

static PERMISSION: Model = Model {
    app: "auth",
    name: "permission",
    title: "Permission",
    table: "auth_permission",
    default_order: "codename",
    fields: &[
        Field::new("id", Kind::Integer, "the id of the permission").order(),
        Field::new("codename", Kind::Text { least: 1, most: 150 }, "its name in checks").filter().search().order(),
        Field::new("name", Kind::Text { least: 1, most: 250 }, "what it allows").search().order(),
        Field::new("app_label", Kind::Text { least: 0, most: 100 }, "the app it belongs to").filter().order(),
        Field::new("model", Kind::Text { least: 0, most: 100 }, "the model it is about").filter().order(),
        Field::new("content_type", Kind::Other(content_type_schema), "what it is about").computed(),
        Field::new("content_type_id", Kind::Integer, "the id of what it is about").filter(),
        Field::new("category", Kind::Text { least: 0, most: 100 }, "the part of the product, for people").computed(),
        Field::new("description", Kind::Text { least: 0, most: 500 }, "what its holders may").computed(),
        Field::new("is_dangerous", Kind::Boolean, "whether its holders can destroy something or reach for more")
            .computed(),
    ],
};

fn content_type_schema() -> Value {
    let text = || json!({ "type": "string" });
    let properties = json!({ "id": { "type": "integer", "format": "int64" }, "app_label": text(), "model": text() });
    json!({ "type": "object", "required": ["id", "app_label", "model"], "properties": properties })
}

impl Resource for Permissions {
    const VERBS: &'static [Verb] = &[Verb::View];

    fn model() -> &'static Model {
        &PERMISSION
    }

    fn access(_verb: Verb) -> Access {
        Access::Admin
    }

    async fn complete(_: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
        for record in records {
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            let (app, model, codename, name) = (text("app_label"), text("model"), text("codename"), text("name"));
            let is_dangerous = is_dangerous(&codename);
            let warning = if is_dangerous { " Give it to few." } else { "" };
            let content_type = json!({ "id": record["content_type_id"], "app_label": app, "model": model });
            record.insert("content_type".into(), content_type);
            record.insert("category".into(), category(&app).into());
            record.insert("description".into(), format!("{name}.{warning}").into());
            record.insert("is_dangerous".into(), is_dangerous.into());
        }
        Ok(())
    }
}
