//! How much of what somebody may: numbers, and switches.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares every number and every switch once: for the database, for the API, and for those who check.
macro_rules! limits {
    (
        numbers { $($quota:ident $number:ident $default:literal $about:literal)* }
        switches { $($switch:ident $can:ident $what:literal)* }
    ) => {
        /// What there is a number for; 0 is unlimited.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(dead_code, reason = "nothing asks for those of AWX and AI yet")]
        pub(crate) enum Quota {
            $(#[doc = $about] $quota,)*
        }

        impl Quota {
            /// Returns the name in the API and in the database.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$quota => stringify!($number),)*
                }
            }

            /// Returns what it is about.
            pub(crate) fn about(self) -> &'static str {
                match self {
                    $(Self::$quota => $about,)*
                }
            }
        }

        /// What is allowed or not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(dead_code, reason = "nothing asks for those of AWX and AI yet")]
        #[expect(clippy::enum_variant_names, reason = "the contract's names begin so")]
        pub(crate) enum Switch {
            $(#[doc = $what] $switch,)*
        }

        impl Switch {
            /// Returns the name in the API and in the database.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$switch => stringify!($can),)*
                }
            }

            /// Returns what it is about.
            pub(crate) fn about(self) -> &'static str {
                match self {
                    $(Self::$switch => $what,)*
                }
            }
        }

        /// Limits of a group, or those that hold for a user. In numbers, 0 is unlimited.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, sqlx::FromRow)]
        pub(crate) struct Limits {
            $(
                #[doc = $about]
                #[schemars(range(min = 0))]
                pub(crate) $number: i64,
            )*
            $(
                #[doc = $what]
                pub(crate) $can: bool,
            )*
        }

        impl Limits {
            /// The columns, in the order of [`Limits::values`].
            pub(super) const COLUMNS: &'static [&'static str] =
                &[$(stringify!($number),)* $(stringify!($can),)*];

            /// What holds for superusers.
            pub(crate) const UNLIMITED: Self = Self { $($number: 0,)* $($can: true,)* };

            /// What holds for users none of whose groups has limits.
            pub(crate) const DEFAULT: Self = Self { $($number: $default,)* $($can: true,)* };

            /// Returns the number of a quota.
            pub(crate) fn number(&self, quota: Quota) -> i64 {
                match quota {
                    $(Quota::$quota => self.$number,)*
                }
            }

            /// Returns whether a switch is on.
            pub(crate) fn allows(&self, switch: Switch) -> bool {
                match switch {
                    $(Switch::$switch => self.$can,)*
                }
            }

            /// Takes the more generous of each.
            #[must_use]
            pub(crate) fn or(self, other: Self) -> Self {
                Self {
                    $($number: more_generous(self.$number, other.$number),)*
                    $($can: self.$can || other.$can,)*
                }
            }

            /// Returns the values for the database.
            pub(super) fn values(&self) -> Vec<sea_query::Value> {
                vec![$(self.$number.into(),)* $(self.$can.into(),)*]
            }

            /// Returns the switches alone.
            pub(crate) fn features(&self) -> Features {
                Features { $($can: self.$can,)* }
            }
        }

        /// What the own account may: the switches.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
        pub(crate) struct Features {
            $(
                #[doc = $what]
                pub(crate) $can: bool,
            )*
        }

        impl Features {
            /// The names of the switches.
            pub(crate) const NAMES: &'static [&'static str] = &[$(stringify!($can),)*];
        }

        /// Limits that somebody writes. What is left out comes from the template, or is the default.
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        pub(crate) struct LimitsRequest {
            /// The role template to begin with: admin, operator, editor or viewer.
            #[serde(default)]
            template: Option<String>,
            $(
                #[doc = $about]
                #[serde(default)]
                #[schemars(range(min = 0, max = 1_000_000_000))]
                $number: Option<i64>,
            )*
            $(
                #[doc = $what]
                #[serde(default)]
                $can: Option<bool>,
            )*
        }

        impl LimitsRequest {
            /// Returns the name of the template.
            pub(crate) fn template(&self) -> Option<&str> {
                self.template.as_deref()
            }

            /// Completes what was written with what was left out.
            pub(crate) fn over(&self, base: Limits) -> Limits {
                Limits {
                    $($number: self.$number.unwrap_or(base.$number),)*
                    $($can: self.$can.unwrap_or(base.$can),)*
                }
            }
        }
    };
}

limits! {
    numbers {
        SavedQueries max_saved_queries 100 "how many saved queries a user may have"
        ScheduledTasks max_scheduled_tasks 20 "how many scheduled tasks a user may have"
        ApicConnections max_apic_connections 10 "how many APIC connections a user may have"
        AwxRequestsDaily max_awx_requests_daily 50 "how many AWX requests a user may make a day"
        AwxConcurrent max_awx_concurrent 5 "how many AWX executions of a user may run at once"
        QueryResults max_query_results 10_000 "how many objects a query returns"
        ExportRows max_export_rows 50_000 "how many rows an export has"
        QueryExecutionDaily query_execution_daily 200 "how many queries a user may run a day"
        AiAnalysisDaily ai_analysis_daily 50 "how many analyses by AI a user may ask for a day"
    }
    switches {
        CanCreateQueries can_create_queries "whether users may save queries"
        CanExecuteQueries can_execute_queries "whether users may run queries"
        CanCreateScheduled can_create_scheduled "whether users may schedule tasks"
        CanUseAwx can_use_awx "whether users may use AWX"
        CanUseTimeMachine can_use_time_machine "whether users may use the Time Machine"
        CanExportData can_export_data "whether users may export"
        CanShareResources can_share_resources "whether users may share what is theirs"
        CanUseAiBuilder can_use_ai_builder "whether users may use AI"
    }
}

/// Nothing is more generous than no limit.
fn more_generous(one: i64, other: i64) -> i64 {
    if one == 0 || other == 0 { 0 } else { one.max(other) }
}

/// A role template: limits to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) limits: Limits,
}

impl Template {
    /// The names of all of them.
    pub(crate) const NAMES: &'static [&'static str] = &["admin", "operator", "editor", "viewer"];

    /// All there are.
    ///
    /// A 0 of the viewer belongs to something that is switched off: alone it would allow more than the other templates.
    pub(crate) const ALL: [Self; 4] = [
        Self {
            name: "admin",
            about: "No limits but ten AWX executions at once.",
            limits: Limits { max_awx_concurrent: 10, ..Limits::UNLIMITED },
        },
        Self {
            name: "operator",
            about: "For those who work with fabrics every day; also what holds without any limits.",
            limits: Limits::DEFAULT,
        },
        Self {
            name: "editor",
            about: "For those who write queries; without AWX.",
            limits: Limits {
                max_saved_queries: 50,
                max_scheduled_tasks: 10,
                max_apic_connections: 5,
                max_awx_requests_daily: 20,
                max_awx_concurrent: 3,
                max_query_results: 5_000,
                max_export_rows: 25_000,
                query_execution_daily: 100,
                ai_analysis_daily: 20,
                can_use_awx: false,
                ..Limits::DEFAULT
            },
        },
        Self {
            name: "viewer",
            about: "For those who look: nothing new, no AWX, no AI, no sharing.",
            limits: Limits {
                max_saved_queries: 10,
                max_scheduled_tasks: 0,
                max_apic_connections: 2,
                max_awx_requests_daily: 0,
                max_awx_concurrent: 0,
                max_query_results: 1_000,
                max_export_rows: 5_000,
                query_execution_daily: 50,
                ai_analysis_daily: 0,
                can_create_queries: false,
                can_create_scheduled: false,
                can_use_awx: false,
                can_use_ai_builder: false,
                can_share_resources: false,
                ..Limits::DEFAULT
            },
        },
    ];

    /// Finds a template.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.name == name)
    }
}
