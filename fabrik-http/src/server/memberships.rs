//! Who is in which group, and who holds which permission: tables of pairs.

use hashbrown::{HashMap, HashSet};
use sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement};

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

impl Pairs {
    /// Gives an owner these members and no others; `field` is what a refusal names.
    pub(crate) async fn set(
        self,
        transaction: &mut Transaction,
        owner: i64,
        ids: &[i64],
        field: &str,
    ) -> Result<(), ApiError> {
        let known = Query::select()
            .column(Alias::new("id"))
            .from(Alias::new(self.members))
            .and_where(Expr::col(Alias::new("id")).is_in(ids.iter().copied()))
            .take();
        let known: HashSet<i64> = transaction.all::<(i64,)>(&known).await?.into_iter().map(|(id,)| id).collect();
        let unknown: Vec<_> = ids.iter().copied().filter(|id| !known.contains(id)).collect();
        if !unknown.is_empty() {
            return Err(unknown_ids(field, &unknown));
        }
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

    /// Gives an owner one more member that it does not have.
    pub(crate) async fn add(self, transaction: &mut Transaction, owner: i64, id: i64) -> Result<(), DbError> {
        let insert = Query::insert()
            .into_table(Alias::new(self.table))
            .columns([self.owner, self.member].map(Alias::new))
            .values_panic([owner.into(), id.into()])
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

/// Returns the query for the id of the group with a name.
pub(crate) fn group_named(name: &str) -> SelectStatement {
    let named = Expr::col(Alias::new("name")).eq(name);
    Query::select().column(Alias::new("id")).from(Alias::new("auth_group")).and_where(named).take()
}
