//! The foundation models and system-defined profiles that there are, by Region: a few of each family, and what the
//! configured profiles were made from.

use std::collections::BTreeMap;

use super::answer::Family;
use super::place::{Place, foundation_arn};
use crate::types::{Geography, ModelId, Region};

/// What there is.
#[derive(Debug)]
pub(super) struct Catalog {
    models: BTreeMap<ModelId, Model>,
}

/// A foundation model.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) provider: String,
    /// Whether it is served without a system-defined profile too.
    pub(super) on_demand: bool,
    geographies: Vec<Geography>,
}

use Geography::{Apac, Au, Ca, Eu, Global, Jp, Us, UsGov};

const MODELS: [(&str, &str, bool, &[Geography]); 14] = [
    ("anthropic.claude-opus-4-5-20251101-v1:0", "Claude Opus 4.5", false, &[Us, Eu, Global]),
    ("anthropic.claude-sonnet-4-5-20250929-v1:0", "Claude Sonnet 4.5", false, &[Us, Eu, Jp, Au, UsGov, Global]),
    ("anthropic.claude-haiku-4-5-20251001-v1:0", "Claude Haiku 4.5", false, &[Us, Eu, Jp, Au, Global]),
    ("anthropic.claude-3-haiku-20240307-v1:0", "Claude 3 Haiku", true, &[Us, Eu, Apac]),
    ("amazon.nova-pro-v1:0", "Nova Pro", true, &[Us, Eu, Apac, UsGov]),
    ("amazon.nova-lite-v1:0", "Nova Lite", true, &[Us, Eu, Apac, UsGov]),
    ("amazon.nova-micro-v1:0", "Nova Micro", true, &[Us, Eu, Apac, UsGov]),
    ("amazon.titan-text-lite-v1", "Titan Text G1 - Lite", true, &[]),
    ("amazon.titan-embed-text-v2:0", "Titan Embeddings V2", true, &[]),
    ("meta.llama3-3-70b-instruct-v1:0", "Llama 3.3 70B", false, &[Us]),
    ("mistral.mistral-large-2402-v1:0", "Mistral Large", true, &[]),
    ("cohere.command-r-v1:0", "Command R", true, &[]),
    ("cohere.embed-multilingual-v3", "Embed Multilingual", true, &[]),
    ("stability.stable-image-ultra-v1:1", "Stable Image Ultra", true, &[]),
];

impl Catalog {
    /// The models above and those that the ids given lead to.
    pub(super) fn new<'a>(more: impl Iterator<Item = &'a ModelId>) -> Self {
        let known = MODELS.iter().filter_map(|(id, name, on_demand, geographies)| {
            let id: ModelId = id.parse().ok()?;
            let provider = brand(id.provider());
            let geographies = geographies.to_vec();
            Some((id, Model { name: (*name).to_owned(), provider, on_demand: *on_demand, geographies }))
        });
        let mut models: BTreeMap<ModelId, Model> = known.collect();
        for id in more {
            let base = id.base();
            let model = models.entry(base.clone()).or_insert_with(|| {
                let name = base.as_str().split_once('.').map_or("", |(_, name)| name);
                let name = name.chars().take(20).collect();
                Model { name, provider: brand(base.provider()), on_demand: true, geographies: Vec::new() }
            });
            if let Some(geography) = id.geography()
                && !model.geographies.contains(&geography)
            {
                model.geographies.push(geography);
            }
        }
        Self { models }
    }

    /// Every foundation model, ordered by id. Each is in every Region.
    pub(super) fn models(&self) -> impl Iterator<Item = (&ModelId, &Model)> {
        self.models.iter()
    }

    pub(super) fn model(&self, id: &ModelId) -> Option<&Model> {
        self.models.get(id)
    }

    /// The ids of the system-defined profiles that a Region has, in order.
    pub(super) fn system_profiles(&self, region: &Region) -> Vec<ModelId> {
        let all = self.models.iter().flat_map(|(id, model)| {
            model.geographies.iter().filter_map(move |geography| format!("{}.{id}", geography.prefix()).parse().ok())
        });
        let mut here: Vec<ModelId> =
            all.filter(|id: &ModelId| id.geography().is_some_and(|g| serves(g, region))).collect();
        here.sort();
        here
    }

    /// The name and description of a system-defined profile.
    pub(super) fn describe(&self, id: &ModelId, place: &Place) -> Option<(String, String)> {
        let (geography, model) = (id.geography()?, self.models.get(&id.base())?);
        let brand = format!("{} {}", model.provider, model.name);
        let area = if geography == Global { "Global".to_owned() } else { geography.prefix().to_ascii_uppercase() };
        let text = match destinations(geography, place).as_slice() {
            [] => format!("Routes requests to {brand} globally across all supported AWS Regions."),
            [one] => format!("Routes requests to {brand} in {one}."),
            [most @ .., last] => format!("Routes requests to {brand} in {} and {last}.", most.join(", ")),
        };
        Some((format!("{area} {brand}"), text))
    }
}

/// The models behind a foundation model's id or a system-defined profile's, as ARNs: one for each Region that may serve it.
pub(super) fn behind(id: &ModelId, place: &Place) -> Vec<String> {
    let (base, partition) = (id.base(), place.partition());
    let regions = match id.geography() {
        None => vec![place.region.as_str()],
        Some(Global) => vec![place.region.as_str(), ""],
        Some(geography) => destinations(geography, place),
    };
    regions.into_iter().map(|region| foundation_arn(partition, region, &base)).collect()
}

/// What answers with text, images or vectors, as the control plane has it: what goes in, what comes out, whether in streams.
pub(super) fn modalities(id: &ModelId) -> (&'static [&'static str], &'static [&'static str], bool) {
    match Family::of(id) {
        Some(Family::Anthropic | Family::Nova) => (&["TEXT", "IMAGE"], &["TEXT"], true),
        Some(Family::TitanEmbed | Family::CohereEmbed) => (&["TEXT"], &["EMBEDDING"], false),
        Some(Family::Images) => (&["TEXT"], &["IMAGE"], false),
        Some(Family::Rerank) => (&["TEXT"], &["TEXT"], false),
        Some(Family::Titan | Family::Llama | Family::Mistral | Family::CohereCommand | Family::CohereChat) | None => {
            (&["TEXT"], &["TEXT"], true)
        }
    }
}

/// Whether a Region has a geography's profiles.
fn serves(geography: Geography, region: &Region) -> bool {
    let region = region.as_str();
    let commercial = !region.starts_with("us-gov-") && !region.starts_with("cn-") && !region.starts_with("eusc-");
    match geography {
        Us => region.starts_with("us-") && commercial,
        Eu => region.starts_with("eu-"),
        Apac => region.starts_with("ap-"),
        Jp => matches!(region, "ap-northeast-1" | "ap-northeast-3"),
        Au => matches!(region, "ap-southeast-2" | "ap-southeast-4"),
        Ca => region.starts_with("ca-"),
        UsGov => region.starts_with("us-gov-"),
        Global => commercial,
    }
}

/// The Regions that a geography's profiles send calls to; none where they may be served anywhere.
fn destinations(geography: Geography, place: &Place) -> Vec<&str> {
    match geography {
        Us => vec!["us-east-1", "us-east-2", "us-west-2"],
        Eu => vec!["eu-central-1", "eu-north-1", "eu-west-1", "eu-west-3"],
        Apac => vec!["ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2"],
        Jp => vec!["ap-northeast-1", "ap-northeast-3"],
        Au => vec!["ap-southeast-2", "ap-southeast-4"],
        Ca => vec![place.region.as_str()],
        UsGov => vec!["us-gov-east-1", "us-gov-west-1"],
        Global => Vec::new(),
    }
}

fn brand(provider: &str) -> String {
    match provider {
        "mistral" => "Mistral AI".to_owned(),
        "stability" => "Stability AI".to_owned(),
        other => {
            let mut letters = other.chars();
            letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
        }
    }
}
