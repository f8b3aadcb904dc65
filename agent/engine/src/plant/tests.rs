//! What `Plant::build` refuses and what it makes.
