//! The operations that arrive at a Bedrock base URL, and what Tollgate does with each.
//!
//! An operation that is not listed here does not exist for Tollgate; one that is listed as refused is named in its refusal.

use std::fmt;

/// An operation of `bedrock-runtime`, or one of the control plane's that clients send to the same base URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// `POST /model/{modelId}/invoke`
    InvokeModel,
    /// `POST /model/{modelId}/invoke-with-response-stream`
    InvokeModelWithResponseStream,
    /// `POST /model/{modelId}/converse`
    Converse,
    /// `POST /model/{modelId}/converse-stream`
    ConverseStream,
    /// `POST /model/{modelId}/count-tokens`
    CountTokens,
    /// `POST /guardrail/{guardrailIdentifier}/version/{guardrailVersion}/apply`
    ApplyGuardrail,
    /// `GET /inference-profiles`
    ListInferenceProfiles,
    /// `GET /inference-profiles/{inferenceProfileIdentifier}`
    GetInferenceProfile,
    /// `POST /model/{modelId}/invoke-with-bidirectional-stream`
    InvokeModelWithBidirectionalStream,
    /// `POST /guardrail-checks/invoke`
    InvokeGuardrailChecks,
    /// `POST /async-invoke`
    StartAsyncInvoke,
    /// `GET /async-invoke`
    ListAsyncInvokes,
    /// `GET /async-invoke/{invocationArn}`
    GetAsyncInvoke,
    /// `GET /foundation-models`
    ListFoundationModels,
    /// `GET /foundation-models/{modelIdentifier}`
    GetFoundationModel,
    /// `/openai/v1/…`: the OpenAI-shaped surface, whose model is named in the body.
    OpenAiApi,
}

/// What Tollgate does with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Sent to Bedrock, through the whole way.
    Forwarded(Forwarded),
    /// Answered from the caller's own map of profiles; never proxied.
    Answered,
    /// Refused by name: it cannot be metered or guarded yet.
    Refused,
}

/// The operations that are forwarded: whoever must know what to do with each of them matches on this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// `InvokeModel`
    Invoke,
    /// `InvokeModelWithResponseStream`
    InvokeStream,
    /// `Converse`
    Converse,
    /// `ConverseStream`
    ConverseStream,
    /// `CountTokens`
    CountTokens,
    /// `ApplyGuardrail`
    ApplyGuardrail,
}

impl Operation {
    /// Every operation, in the order of their declaration.
    pub const ALL: [Self; 16] = [
        Self::InvokeModel,
        Self::InvokeModelWithResponseStream,
        Self::Converse,
        Self::ConverseStream,
        Self::CountTokens,
        Self::ApplyGuardrail,
        Self::ListInferenceProfiles,
        Self::GetInferenceProfile,
        Self::InvokeModelWithBidirectionalStream,
        Self::InvokeGuardrailChecks,
        Self::StartAsyncInvoke,
        Self::ListAsyncInvokes,
        Self::GetAsyncInvoke,
        Self::ListFoundationModels,
        Self::GetFoundationModel,
        Self::OpenAiApi,
    ];

    /// AWS's name of the operation; also the label in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvokeModel => "InvokeModel",
            Self::InvokeModelWithResponseStream => "InvokeModelWithResponseStream",
            Self::Converse => "Converse",
            Self::ConverseStream => "ConverseStream",
            Self::CountTokens => "CountTokens",
            Self::ApplyGuardrail => "ApplyGuardrail",
            Self::ListInferenceProfiles => "ListInferenceProfiles",
            Self::GetInferenceProfile => "GetInferenceProfile",
            Self::InvokeModelWithBidirectionalStream => "InvokeModelWithBidirectionalStream",
            Self::InvokeGuardrailChecks => "InvokeGuardrailChecks",
            Self::StartAsyncInvoke => "StartAsyncInvoke",
            Self::ListAsyncInvokes => "ListAsyncInvokes",
            Self::GetAsyncInvoke => "GetAsyncInvoke",
            Self::ListFoundationModels => "ListFoundationModels",
            Self::GetFoundationModel => "GetFoundationModel",
            Self::OpenAiApi => "OpenAiApi",
        }
    }

    /// The IAM action that AWS checks for the operation. Converse has none of its own.
    pub const fn iam_action(self) -> &'static str {
        match self {
            Self::InvokeModel | Self::Converse => "bedrock:InvokeModel",
            Self::InvokeModelWithResponseStream | Self::ConverseStream => "bedrock:InvokeModelWithResponseStream",
            Self::CountTokens => "bedrock:CountTokens",
            Self::ApplyGuardrail | Self::InvokeGuardrailChecks => "bedrock:ApplyGuardrail",
            Self::ListInferenceProfiles => "bedrock:ListInferenceProfiles",
            Self::GetInferenceProfile => "bedrock:GetInferenceProfile",
            Self::InvokeModelWithBidirectionalStream => "bedrock:InvokeModelWithBidirectionalStream",
            Self::StartAsyncInvoke => "bedrock:StartAsyncInvoke",
            Self::ListAsyncInvokes => "bedrock:ListAsyncInvokes",
            Self::GetAsyncInvoke => "bedrock:GetAsyncInvoke",
            Self::ListFoundationModels => "bedrock:ListFoundationModels",
            Self::GetFoundationModel => "bedrock:GetFoundationModel",
            Self::OpenAiApi => "bedrock:InvokeModel (through the OpenAI-shaped API)",
        }
    }

    /// What is done with it. This is the allow-list: only what is named here as forwarded can reach Bedrock.
    pub const fn treatment(self) -> Treatment {
        match self {
            Self::InvokeModel => Treatment::Forwarded(Forwarded::Invoke),
            Self::InvokeModelWithResponseStream => Treatment::Forwarded(Forwarded::InvokeStream),
            Self::Converse => Treatment::Forwarded(Forwarded::Converse),
            Self::ConverseStream => Treatment::Forwarded(Forwarded::ConverseStream),
            Self::CountTokens => Treatment::Forwarded(Forwarded::CountTokens),
            Self::ApplyGuardrail => Treatment::Forwarded(Forwarded::ApplyGuardrail),
            Self::ListInferenceProfiles
            | Self::GetInferenceProfile
            | Self::ListFoundationModels
            | Self::GetFoundationModel => Treatment::Answered,
            Self::InvokeModelWithBidirectionalStream
            | Self::InvokeGuardrailChecks
            | Self::StartAsyncInvoke
            | Self::ListAsyncInvokes
            | Self::GetAsyncInvoke
            | Self::OpenAiApi => Treatment::Refused,
        }
    }

    /// Which of the forwarded operations it is, if it is one.
    pub const fn forwarded(self) -> Option<Forwarded> {
        match self.treatment() {
            Treatment::Forwarded(forwarded) => Some(forwarded),
            Treatment::Answered | Treatment::Refused => None,
        }
    }

    /// Whether the model's answer comes as an event stream.
    pub const fn streams(self) -> bool {
        matches!(self, Self::InvokeModelWithResponseStream | Self::ConverseStream)
    }

    /// Whether request and answer have the Converse shape.
    pub const fn is_converse(self) -> bool {
        matches!(self, Self::Converse | Self::ConverseStream)
    }

    /// Whether request and answer have the model's own shape.
    pub const fn is_invoke(self) -> bool {
        matches!(self, Self::InvokeModel | Self::InvokeModelWithResponseStream)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
