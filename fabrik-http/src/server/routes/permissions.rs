//! The permissions there are.

use crate::server::model::{Field, Kind, Model, Verb};
use crate::server::registry::{Access, Registry};
use crate::server::resource::Resource;

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
    ],
};

impl Resource for Permissions {
    const VERBS: &'static [Verb] = &[Verb::View];

    fn model() -> &'static Model {
        &PERMISSION
    }

    fn access(_verb: Verb) -> Access {
        Access::Admin
    }
}
