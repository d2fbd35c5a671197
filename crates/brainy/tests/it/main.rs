//! The facade from outside.

mod first_day;
