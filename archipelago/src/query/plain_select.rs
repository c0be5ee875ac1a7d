//! The bound that lets only plain SELECTs through to a replica, and the message for everything
//! else.

use diesel::query_builder::{BoxedSelectStatement, SelectQuery, SelectStatement};
use diesel::query_dsl::positional_order_dsl::{
    IntoPositionalOrderExpr, OrderColumn, PositionalOrderDsl,
};

/// A query that only reads: a SELECT of Diesel's query builder without a lock, boxed or not, or a
/// UNION, INTERSECT or EXCEPT of such.
///
/// It excludes statements with `FOR UPDATE` and its kin, which a standby refuses. The read-only
/// session behind it stops what the bound cannot see: a function that writes, an
/// [`sql`](diesel::dsl::sql) fragment, a lock inside a subselect.
///
/// The compiler cannot see into a query struct of your own, as the `Paginated<T>` of Diesel's guide.
/// Say once that it only reads:
///
/// ```
/// struct Paginated<T>(T);
///
/// impl<T: archipelago::PlainSelect> archipelago::PlainSelect for Paginated<T> {}
/// ```
// rustc says the message thrice, for the argument, the call and its `.await`: an opaque future
// repeats every bound of its function, and a boxed one would cost each read an allocation.
#[diagnostic::on_unimplemented(
    message = "a replica only reads, and this query is not a plain SELECT",
    label = "the compiler does not know that this only reads",
    note = "an INSERT, UPDATE, DELETE or `FOR UPDATE` belongs to `repos.primary()`",
    note = "raw SQL that only reads runs with `repos.replica().load_unchecked(…)`",
    note = "a query struct of your own that only reads needs `impl archipelago::PlainSelect for …`"
)]
pub trait PlainSelect {}

// The parameter left out is the lock; its default is Diesel's `NoLockingClause`.
#[diagnostic::do_not_recommend]
impl<F, S, D, W, O, LOf, G, H> PlainSelect for SelectStatement<F, S, D, W, O, LOf, G, H> where
    Self: SelectQuery
{
}

#[diagnostic::do_not_recommend]
impl<ST, QS, DB, GB> PlainSelect for BoxedSelectStatement<'_, ST, QS, DB, GB> where Self: SelectQuery
{}

/// Diesel hides the type of a UNION and its kin, and gives it alone a trait for the order by column.
/// With a column of this crate as its parameter, no other crate can give that trait to another type:
/// so the compiler sees that this `impl` does not overlap with those above.
#[diagnostic::do_not_recommend]
impl<Q> PlainSelect for Q where Q: PositionalOrderDsl<OwnColumn> {}

/// A column by its position. See above.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct OwnColumn;

impl IntoPositionalOrderExpr for OwnColumn {
    type Output = OrderColumn;

    fn into_positional_expr(self) -> OrderColumn {
        OrderColumn(1)
    }
}
