//! What the commands about profiles work on: the configuration, who there is, what is known of AWS, and AWS itself.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::cli::{Streams, price_known, stored};
use crate::config::Settings;
use crate::config::assembly::{AwsIdentity, ProfileDesk, profile_desk};
use crate::identity::Principal;
use crate::profiles::control::{ControlError, Place, SharedControlPlane};
use crate::profiles::vending::{Ask, Vending};
use crate::profiles::{LiveDirectory, fleet};
use crate::types::SystemClock;

/// Somebody, as the command line tells of them.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Person {
    /// The principal's name
    #[arg(long, value_name = "NAME")]
    pub principal: String,
    /// A group of theirs, in their order, where neither the configuration nor a key tells; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// A principal tag of theirs, such as UserEmail=alice@example.com, where neither tells; may be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    pub tags: Vec<String>,
}

/// How it is known who somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Configuration,
    Key,
    CommandLine,
    /// By nothing but the name.
    Nobody,
}

impl Known {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Configuration => "the configuration",
            Self::Key => "a key",
            Self::CommandLine => "the command line",
            Self::Nobody => "nothing but the name",
        }
    }
}

/// The configuration and all that it leads to.
pub(super) struct Desk {
    pub(super) settings: Settings,
    pub(super) directory: Arc<LiveDirectory>,
    pub(super) vending: Arc<Vending>,
    /// Everybody of whom the configuration or a live key knows.
    pub(super) people: Vec<Arc<Principal>>,
    /// Why the keys cannot be read, where they cannot.
    pub(super) keys_unread: Option<String>,
    pub(super) now: SystemTime,
    parts: ProfileDesk,
}

/// What came of reading every place.
pub(super) type Read = Vec<(Place, Result<usize, ControlError>)>;

impl Desk {
    /// Why [policy] refuses calls through what would be made.
    pub(super) fn outside(&self, ask: &Ask<'_>) -> Option<String> {
        let outside = self.settings.policy.residency.check_profile(&ask.preview()?).err();
        outside.map(|outside| outside.to_string())
    }

    /// Opens what the configuration names. `None` means that the reason has been printed.
    pub(super) async fn open(
        config: &Path,
        now: SystemTime,
        streams: &mut Streams<'_>,
    ) -> anyhow::Result<Option<Self>> {
        let settings = match Settings::load(config, &price_known) {
            Ok((settings, _)) => settings,
            Err(diagnostics) => {
                write!(streams.err, "{diagnostics}")?;
                return Ok(None);
            }
        };
        let parts = match profile_desk(&settings, AwsIdentity::Chain, Arc::new(SystemClock)).await {
            Ok(parts) => parts,
            Err(error) => {
                writeln!(streams.err, "error: {error}")?;
                return Ok(None);
            }
        };
        let (directory, vending) = (Arc::clone(&parts.directory), Arc::clone(&parts.vending));
        if let Some(discovery) = directory.discovery()
            && let Err(error) = fleet::read(&discovery.file, &discovery.places, &discovery.geographies)
        {
            let file = discovery.file.display();
            writeln!(
                streams.err,
                "warning: {file} cannot be read ({error}), so that nothing is known of AWS: `tollgate profile sync` \
                 writes it anew"
            )?;
        }
        let (described, keys_unread) = match stored::described(&settings).await {
            Ok(described) => (described, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let people = stored::everybody(&settings, described);
        Ok(Some(Self { settings, directory, vending, people, keys_unread, now, parts }))
    }

    pub(super) fn timestamp(&self) -> Timestamp {
        Timestamp::try_from(self.now).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Who is asked about AWS, once there are credentials.
    pub(super) async fn control(&self) -> Result<&SharedControlPlane, String> {
        let Some(discovery) = self.directory.discovery() else {
            return Err("the configuration does not say where profiles are in AWS: add [[accounts]], and [discovery] \
                        with a rule"
                .to_owned());
        };
        self.sign_in().await?;
        Ok(&discovery.control)
    }

    async fn sign_in(&self) -> Result<(), String> {
        self.parts.sign_in().await.map_err(|error| {
            format!(
                "there are no AWS credentials to ask with: {error}; they are looked for as the AWS CLI does, and \
                 [upstream] aws_profile names a profile"
            )
        })
    }

    /// Reads every place in AWS, and tells how far it is if that takes more than a second. Nothing is written down.
    pub(super) async fn read(&self, streams: &mut Streams<'_>) -> anyhow::Result<Result<Read, String>> {
        let asks = self.directory.asks_for_sources();
        let signed_in = match self.directory.discovery() {
            None if asks => self.sign_in().await,
            _ => self.control().await.map(|_| ()),
        };
        if let Err(reason) = signed_in {
            return Ok(Err(reason));
        }
        self.directory.refresh_sources(self.now).await;
        let (seen, of_places) = (Arc::new(AtomicUsize::new(0)), Mutex::new(Vec::<(Place, usize)>::new()));
        let told = Arc::clone(&seen);
        let reading = self.directory.read_all(
            self.now,
            Arc::new(move |place: &Place, count| {
                let mut of_places = of_places.lock().unwrap_or_else(PoisonError::into_inner);
                match of_places.iter_mut().find(|(own, _)| own == place) {
                    Some((_, own)) => *own = count,
                    None => of_places.push((place.clone(), count)),
                }
                told.store(of_places.iter().map(|(_, count)| count).sum(), Ordering::Relaxed);
            }),
        );
        let mut reading = std::pin::pin!(reading);
        let begun = Instant::now();
        let mut ticks = interval_at(begun + PROGRESS, PROGRESS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                read = &mut reading => return Ok(Ok(read)),
                _ = ticks.tick() => {
                    let (seen, seconds) = (seen.load(Ordering::Relaxed), begun.elapsed().as_secs());
                    writeln!(streams.err, "Reading AWS: {seen} profiles listed so far, after {seconds} s …")?;
                }
            }
        }
    }

    /// Reads every place in AWS; a place that cannot be read is an error.
    pub(super) async fn read_whole(&self, streams: &mut Streams<'_>) -> anyhow::Result<Result<(), String>> {
        let read = match self.read(streams).await? {
            Ok(read) => read,
            Err(reason) => return Ok(Err(reason)),
        };
        let failed: Vec<_> =
            read.iter().filter_map(|(place, read)| Some(unread(place, read.as_ref().err()?))).collect();
        Ok(if failed.is_empty() { Ok(()) } else { Err(failed.join("\nerror: ")) })
    }

    /// Somebody by name, with the groups and tags that they are known to have; the command line tells of others.
    pub(super) fn person(&self, person: &Person) -> Result<(Arc<Principal>, Known), String> {
        let Person { principal: name, groups, tags } = person;
        let told = !groups.is_empty() || !tags.is_empty();
        let configured = self.settings.principals.iter().any(|known| known.name() == name);
        if configured && told {
            return Err(format!(
                "the configuration lists {name}, with their groups and tags: leave out those of the command line"
            ));
        }
        match self.people.iter().find(|known| known.name() == name) {
            Some(known) if !told => {
                let how = if configured { Known::Configuration } else { Known::Key };
                Ok((Arc::clone(known), how))
            }
            _ => {
                let tags = pairs(tags)?.into_iter().collect();
                let how = if told { Known::CommandLine } else { Known::Nobody };
                Ok((Arc::new(Principal::new(name.as_str(), groups.clone(), tags)), how))
            }
        }
    }

    /// Somebody of whom the configuration or a key knows.
    pub(super) fn known(&self, name: &str) -> Option<&Arc<Principal>> {
        self.people.iter().find(|known| known.name() == name)
    }

    /// What there is to say about a person of whom nobody knows.
    pub(super) fn of_nobody(&self, name: &str) -> String {
        let why = self.keys_unread.as_ref().map(|why| format!("; the keys cannot be read: {why}")).unwrap_or_default();
        let whence = if self.settings.identity.is_open() {
            "who comes with a token or a certificate is described there: say it with --group and --tag"
        } else {
            "`tollgate key create` and [[principals]] make people known"
        };
        format!("neither the configuration nor a live key knows {name}{why}; {whence}")
    }

    /// Writes down what is known of AWS now.
    pub(super) async fn keep(&self) -> Result<(), String> {
        let file = self.directory.discovery().map(|discovery| discovery.file.display().to_string()).unwrap_or_default();
        self.directory.write_down().await.map_err(|error| {
            format!("{file} cannot be written: {error}; its folder has to be there, and yours to write in")
        })
    }
}

/// Why a place could not be read, and what to do.
pub(super) fn unread(place: &Place, error: &ControlError) -> String {
    format!(
        "{place} could not be read: {}",
        told(error, "bedrock:ListInferenceProfiles, and tag:GetResources or bedrock:ListTagsForResource")
    )
}

/// What AWS has said, and what to do; `actions` are those that the role needs.
pub(super) fn told(error: &ControlError, actions: &str) -> String {
    let what = match error {
        ControlError::Denied(_) => format!("the role needs {actions} there"),
        ControlError::Throttled(_) => "it was asked again a few times; try later".to_owned(),
        ControlError::Unavailable(_) => "try again, and look at [discovery] endpoint, [upstream] ca_bundle and the \
                                         network if it stays so"
            .to_owned(),
        ControlError::Quota(_) => {
            "delete profiles that nobody needs (`tollgate profile orphans`), or ask AWS for more".to_owned()
        }
        ControlError::NotFound(_) => "`tollgate profile list --live` shows what there is".to_owned(),
        ControlError::Conflict(_) => "try again in a while, or take another name".to_owned(),
        ControlError::Invalid(_) => "look at the names, tags and models that were asked for".to_owned(),
    };
    format!("{error}; {what}")
}

/// Keys and values of `KEY=VALUE`, each key once.
pub(super) fn pairs(texts: &[String]) -> Result<Vec<(String, String)>, String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for text in texts {
        let pair = text.split_once('=').filter(|(key, _)| !key.is_empty() && !text.contains(char::is_control));
        let (key, value) = pair.ok_or_else(|| format!("{text:?} is no tag: write KEY=VALUE"))?;
        if pairs.iter().any(|(known, _)| known == key) {
            return Err(format!("the tag {key} is there twice"));
        }
        pairs.push((key.to_owned(), value.to_owned()));
    }
    Ok(pairs)
}

const PROGRESS: Duration = Duration::from_secs(1);
