//! Who is in which group, and who holds which permission: tables of pairs.

use hashbrown::{HashMap, HashSet};
use sea_query::{Alias, Expr, ExprTrait, Func, OnConflict, Query, SelectStatement};

use super::db::{Database, DbError, Transaction};
use super::error::ApiError;
use super::resource::unknown_ids;

/// A table of pairs: whose, and of what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pairs {
    table: &'static str,
    owner: &'static str,
    member: &'static str,
    members: &'static str,
}

/// The groups of users.
pub(crate) const USER_GROUPS: Pairs =
    Pairs { table: "auth_user_group", owner: "user_id", member: "group_id", members: "auth_group" };
/// The permissions that users hold directly.
pub(crate) const USER_PERMISSIONS: Pairs =
    Pairs { table: "auth_user_permission", owner: "user_id", member: "permission_id", members: "auth_permission" };
/// The permissions of groups.
pub(crate) const GROUP_PERMISSIONS: Pairs =
    Pairs { table: "auth_group_permission", owner: "group_id", member: "permission_id", members: "auth_permission" };
/// Whom a rule of escalation tells.
pub(crate) const ESCALATION_TARGETS: Pairs =
    Pairs { table: "escalation_target", owner: "rule_id", member: "user_id", members: "auth_user" };

/// Whom connections are shared with.
pub(crate) const CONNECTION_SHARES: Pairs =
    Pairs { table: "apic_connection_share", owner: "connection_id", member: "user_id", members: "auth_user" };
/// Whom saved queries are shared with.
pub(crate) const QUERY_SHARES: Pairs =
    Pairs { table: "saved_query_share", owner: "query_id", member: "user_id", members: "auth_user" };

impl Pairs {
    /// Gives an owner these members and no others; `field` is what a refusal names.
    pub(crate) async fn set(
        self,
        transaction: &mut Transaction,
        owner: i64,
        ids: &[i64],
        field: &str,
    ) -> Result<(), ApiError> {
        let known = self.known(transaction, ids, field).await?;
        let gone = Query::delete()
            .from_table(Alias::new(self.table))
            .and_where(Expr::col(Alias::new(self.owner)).eq(owner))
            .take();
        transaction.run(&gone).await?;
        for id in known {
            self.add(transaction, owner, id).await?;
        }
        Ok(())
    }

    /// Gives an owner these members beside those it has; `field` is what a refusal names.
    pub(crate) async fn add_all(
        self,
        transaction: &mut Transaction,
        owner: i64,
        ids: &[i64],
        field: &str,
    ) -> Result<(), ApiError> {
        for id in self.known(transaction, ids, field).await? {
            self.add(transaction, owner, id).await?;
        }
        Ok(())
    }

    /// Takes these members from an owner; `field` is what a refusal names.
    pub(crate) async fn remove_all(
        self,
        transaction: &mut Transaction,
        owner: i64,
        ids: &[i64],
        field: &str,
    ) -> Result<(), ApiError> {
        let known = self.known(transaction, ids, field).await?;
        let gone = Query::delete()
            .from_table(Alias::new(self.table))
            .and_where(Expr::col(Alias::new(self.owner)).eq(owner))
            .and_where(Expr::col(Alias::new(self.member)).is_in(known))
            .take();
        transaction.run(&gone).await?;
        Ok(())
    }

    /// Gives an owner the members of another.
    pub(crate) async fn copy(self, transaction: &mut Transaction, from: i64, to: i64) -> Result<(), DbError> {
        let members = Query::select()
            .column(Alias::new(self.member))
            .from(Alias::new(self.table))
            .and_where(Expr::col(Alias::new(self.owner)).eq(from))
            .take();
        for (id,) in transaction.all::<(i64,)>(&members).await? {
            self.add(transaction, to, id).await?;
        }
        Ok(())
    }

    /// Returns these ids, each once, or fails where there is no such member.
    async fn known(self, transaction: &mut Transaction, ids: &[i64], field: &str) -> Result<HashSet<i64>, ApiError> {
        let known = Query::select()
            .column(Alias::new("id"))
            .from(Alias::new(self.members))
            .and_where(Expr::col(Alias::new("id")).is_in(ids.iter().copied()))
            .take();
        let known: HashSet<i64> = transaction.all::<(i64,)>(&known).await?.into_iter().map(|(id,)| id).collect();
        let unknown: Vec<_> = ids.iter().copied().filter(|id| !known.contains(id)).collect();
        if unknown.is_empty() { Ok(known) } else { Err(unknown_ids(field, &unknown)) }
    }

    /// Gives an owner one more member; one that it has stays.
    pub(crate) async fn add(self, transaction: &mut Transaction, owner: i64, id: i64) -> Result<(), DbError> {
        let insert = Query::insert()
            .into_table(Alias::new(self.table))
            .columns([self.owner, self.member].map(Alias::new))
            .values_panic([owner.into(), id.into()])
            .on_conflict(OnConflict::columns([self.owner, self.member].map(Alias::new)).do_nothing().to_owned())
            .take();
        transaction.run(&insert).await.map(|_| ())
    }

    /// Returns whether an owner has a member.
    pub(crate) async fn has(self, transaction: &mut Transaction, owner: i64, id: i64) -> Result<bool, DbError> {
        let query = Query::select()
            .column(Alias::new(self.member))
            .from(Alias::new(self.table))
            .and_where(Expr::col(Alias::new(self.owner)).eq(owner))
            .and_where(Expr::col(Alias::new(self.member)).eq(id))
            .take();
        Ok(transaction.first::<(i64,)>(&query).await?.is_some())
    }

    /// Returns the members of each owner: ids and one text column of theirs, in its order.
    pub(crate) async fn of(
        self,
        db: &Database,
        owners: &[i64],
        text: &'static str,
    ) -> Result<HashMap<i64, Vec<(i64, String)>>, DbError> {
        let (pairs, members) = (Alias::new(self.table), Alias::new(self.members));
        let query = Query::select()
            .column((pairs.clone(), Alias::new(self.owner)))
            .column((members.clone(), Alias::new("id")))
            .column((members.clone(), Alias::new(text)))
            .from(pairs.clone())
            .inner_join(
                members.clone(),
                Expr::col((members.clone(), Alias::new("id"))).equals((pairs.clone(), Alias::new(self.member))),
            )
            .and_where(Expr::col((pairs, Alias::new(self.owner))).is_in(owners.iter().copied()))
            .order_by((members, Alias::new(text)), sea_query::Order::Asc)
            .take();
        let mut of: HashMap<_, Vec<_>> = HashMap::new();
        for (owner, id, text) in db.all::<(i64, i64, String)>(&query).await? {
            of.entry(owner).or_default().push((id, text));
        }
        Ok(of)
    }
}

/// Returns how many there are of each of these in a table: of the rows whose `column` is the id.
pub(crate) async fn count_by(
    db: &Database,
    table: &'static str,
    column: &'static str,
    ids: &[i64],
) -> Result<HashMap<i64, i64>, DbError> {
    let query = Query::select()
        .column(Alias::new(column))
        .expr(Func::count(Expr::col(Alias::new(column))))
        .from(Alias::new(table))
        .and_where(Expr::col(Alias::new(column)).is_in(ids.iter().copied()))
        .group_by_col(Alias::new(column))
        .take();
    Ok(db.all::<(i64, i64)>(&query).await?.into_iter().collect())
}

/// Returns the first members of each of these groups: the newest users, at most `most` of each.
pub(crate) async fn newest_members(
    db: &Database,
    groups: &[i64],
    most: u64,
) -> Result<HashMap<i64, Vec<(i64, String)>>, DbError> {
    let (user, pair) = (Alias::new("auth_user"), Alias::new("auth_user_group"));
    let mut members = HashMap::new();
    for group in groups {
        let query = Query::select()
            .columns(["id", "username"].map(|name| (user.clone(), Alias::new(name))))
            .from(user.clone())
            .inner_join(
                pair.clone(),
                Expr::col((pair.clone(), Alias::new("user_id"))).equals((user.clone(), Alias::new("id"))),
            )
            .and_where(Expr::col((pair.clone(), Alias::new("group_id"))).eq(*group))
            .order_by((user.clone(), Alias::new("id")), sea_query::Order::Desc)
            .limit(most)
            .take();
        members.insert(*group, db.all::<(i64, String)>(&query).await?);
    }
    Ok(members)
}

/// Returns the query for the id of the group with a name.
pub(crate) fn group_named(name: &str) -> SelectStatement {
    let named = Expr::col(Alias::new("name")).eq(name);
    Query::select().column(Alias::new("id")).from(Alias::new("auth_group")).and_where(named).take()
}
