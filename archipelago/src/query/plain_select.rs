//! The bound that lets only plain SELECTs through to a replica, and the message for everything
//! else.

use diesel::query_builder::{BoxedSelectStatement, SelectQuery, SelectStatement};

/// A query that only reads: a SELECT of Diesel's query builder, boxed or not, without a lock.
///
/// This is a bound, not a trait to implement. It rests on Diesel's [`SelectQuery`], which only
/// SELECT statements implement, and excludes those with `FOR UPDATE` and its kin, which a standby
/// refuses. The read-only session behind it stops what the bound cannot see: a function that
/// writes, an [`sql`](diesel::dsl::sql) fragment, a lock inside a subselect. Diesel does not make
/// the type of a UNION public, so a UNION takes
/// [`Replica::load_unchecked`](crate::Replica::load_unchecked).
#[diagnostic::on_unimplemented(
    message = "a replica only reads, and this query is not a plain SELECT",
    label = "an INSERT, UPDATE, DELETE, `FOR UPDATE` or raw SQL cannot be given to a replica",
    note = "write with `repos.primary()`, which has `execute`, `get_result` and `transaction`",
    note = "for raw SQL that only reads, and for UNION, use `repos.replica().load_unchecked(…)`"
)]
pub trait PlainSelect: SelectQuery {}

// The parameter left out is the lock; its default is Diesel's `NoLockingClause`.
#[diagnostic::do_not_recommend]
impl<F, S, D, W, O, LOf, G, H> PlainSelect for SelectStatement<F, S, D, W, O, LOf, G, H> where
    Self: SelectQuery
{
}

#[diagnostic::do_not_recommend]
impl<ST, QS, DB, GB> PlainSelect for BoxedSelectStatement<'_, ST, QS, DB, GB> where Self: SelectQuery
{}
