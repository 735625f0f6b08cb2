//! Floor 4: through which profile a call goes, and what the model behind it costs.

pub mod price;
