//! Orders: what one process asks the one that is at work on the pipe to do, and what that one answers.

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{Journal, JournalError, json};
use crate::schema::TableName;

/// What can be asked of the process at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "order")]
pub enum Order {
    /// Stop at the next batch boundary, and end.
    Pause,
    /// Rebuild these tables, or all if there are none.
    Resync {
        /// The source tables.
        tables: Vec<TableName>,
        /// Whether the originals are kept current until their swap.
        live: bool,
    },
    /// Load a table that is new in the pipe file, and follow it.
    AddTable {
        /// The source table.
        table: TableName,
    },
    /// Follow a table no longer.
    RemoveTable {
        /// The source table.
        table: TableName,
    },
    /// Go on with the resync that waits or has failed.
    Resume,
    /// Swap the tables that wait for approval.
    Approve,
    /// Give the unfinished resync up.
    Abort,
}

/// What the process at work answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum OrderAnswer {
    /// It is done.
    Done,
    /// The resync of this id does it.
    Begun {
        /// The resync.
        resync: String,
    },
    /// It can't be done.
    Refused {
        /// Why.
        reason: String,
        /// What to do.
        suggestion: String,
    },
}

/// What has become of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// It waits for an answer.
    Waits,
    /// It was answered.
    Answered(OrderAnswer),
    /// A process that began after it was left has taken it for an old one.
    Forgotten,
}

impl Journal {
    /// Leaves an order for the process at work; its number.
    pub fn order(&self, order: &Order) -> Result<i64, JournalError> {
        let mut id = 0;
        self.write("order", "order left", |tx| {
            tx.execute(
                "INSERT INTO orders (record) VALUES (?1)",
                params![json(order)?],
            )?;
            id = tx.last_insert_rowid();
            Ok(())
        })?;
        Ok(id)
    }

    /// The first order that has no answer yet.
    pub fn next_order(&self) -> Result<Option<(i64, Order)>, JournalError> {
        let found = self
            .connection()
            .query_row(
                "SELECT id, record FROM orders WHERE answer IS NULL ORDER BY id LIMIT 1",
                [],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
            )
            .optional()
            .map_err(|cause| self.failed(cause))?;
        found
            .map(|(id, record)| Ok((id, self.parsed(&record)?)))
            .transpose()
    }

    /// Answers an order.
    pub fn answer_order(&self, id: i64, answer: &OrderAnswer) -> Result<(), JournalError> {
        self.write("order", "order answered", |tx| {
            tx.execute(
                "UPDATE orders SET answer = ?2 WHERE id = ?1",
                params![id, json(answer)?],
            )?;
            Ok(())
        })
    }

    /// The answer to an order, once there is one.
    pub fn order_answer(&self, id: i64) -> Result<OrderState, JournalError> {
        let found: Option<Option<String>> = self
            .connection()
            .query_row(
                "SELECT answer FROM orders WHERE id = ?1",
                params![id],
                |row| row.get(0),
            )
            .optional()
            .map_err(|cause| self.failed(cause))?;
        Ok(match found {
            None => OrderState::Forgotten,
            Some(None) => OrderState::Waits,
            Some(Some(answer)) => OrderState::Answered(self.parsed(&answer)?),
        })
    }

    /// Forgets orders that nobody was there to answer: the process that they were meant for has ended.
    pub fn forget_orders(&self) -> Result<(), JournalError> {
        self.write("order", "orders forgotten", |tx| {
            tx.execute("DELETE FROM orders WHERE answer IS NULL", [])?;
            Ok(())
        })
    }
}
