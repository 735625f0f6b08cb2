//! Floor 3: who is asking. Every way of proving it ends in a [`Principal`].

mod principal;

pub use principal::Principal;
