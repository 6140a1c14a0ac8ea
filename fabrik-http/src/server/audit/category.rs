//! What audit rows are about.

/// Calls a macro with all categories, in the order of the contract: variant, name, title.
macro_rules! with_categories {
    ($macro:ident) => {
        $macro! {
            UserManagement "user_management" "User management"
            GroupPermission "group_permission" "Groups and permissions"
            LoginLogout "login_logout" "Login and logout"
            ApicManagement "apic_management" "APIC management"
            QueryManagement "query_management" "Query management"
            QueryExecution "query_execution" "Query execution"
            CategoryManagement "category_management" "Category management"
            TaskManagement "task_management" "Task management"
            TimeMachine "time_machine" "Time Machine"
            AwxManagement "awx_management" "AWX management"
            AwxAutomation "awx_automation" "AWX automation"
            AwxWebhook "awx_webhook" "AWX webhooks"
            Validation "validation" "Validation"
            ValidationManagement "validation_management" "Validation management"
            NotificationManagement "notification_management" "Notification management"
            SettingsChange "settings_change" "Changes of settings"
            SystemSettings "system_settings" "System settings"
            ApiAccess "api_access" "API access"
            MimExplorer "mim_explorer" "MIM explorer"
            Ai "ai" "AI"
        }
    };
}

macro_rules! categories {
    ($($variant:ident $name:literal $title:literal)*) => {
        /// What a row is about; switches and retention go by it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(clippy::enum_variant_names, reason = "one of the contract's names is category_management")]
        pub(crate) enum Category {
            $(#[doc = $title] $variant,)*
        }

        impl Category {
            /// All there are.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The names of all there are.
            pub(crate) const NAMES: &'static [&'static str] = &[$($name),*];

            /// Returns the name in the API and in the database.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Returns the name for people.
            pub(crate) fn title(self) -> &'static str {
                match self {
                    $(Self::$variant => $title,)*
                }
            }

            /// Returns the column of the settings that says whether rows are kept at all.
            pub(crate) fn switch(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($name, "_enabled"),)*
                }
            }

            /// Returns the column of the settings that says for how many days rows are kept.
            pub(crate) fn days(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($name, "_retention_days"),)*
                }
            }
        }
    };
}

with_categories!(categories);

pub(crate) use with_categories;

impl Category {
    /// Returns the title of the category with a name; a name that no category has stays as it is.
    pub(crate) fn title_of(name: &str) -> String {
        let found = Self::ALL.iter().find(|category| category.name() == name);
        found.map_or(name, |category| category.title()).to_owned()
    }
}
