//! The rule language: text to typed program, and its three-valued evaluation.
