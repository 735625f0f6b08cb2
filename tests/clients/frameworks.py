"""Libraries on top of Bedrock that people use in place of an AWS SDK, behind the same words as the clients of `adapters`."""

import os
import unittest.mock

import adapters
import botocore.exceptions
import house
import langchain_aws


class LangChain(adapters.Client):
    """LangChain, which calls through boto3, over TLS."""

    name = "langchain-aws"
    operations = (adapters.CONVERSE, adapters.CONVERSE_STREAM)

    def call(self, operation, caller, model, prompt, max_tokens=64):
        adapters.show(self.credential(caller))
        with unittest.mock.patch.dict(os.environ, AWS_CA_BUNDLE=self.gateway.ca_bundle):
            chat = langchain_aws.ChatBedrockConverse(
                model=model, endpoint_url=self.url, region_name=house.REGION, max_tokens=max_tokens
            )
        try:
            with adapters.botocore_clock(self.ahead):
                if operation == adapters.CONVERSE:
                    message = chat.invoke(prompt)
                else:
                    first, *others = chat.stream(prompt)
                    message = sum(others, first)
        except botocore.exceptions.ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            raise adapters.Refused(code, message, error.response["ResponseMetadata"]["HTTPStatusCode"]) from error
        usage = {kind: message.usage_metadata[f"{kind}_tokens"] for kind in ("input", "output")}
        return adapters.Answer(text=message.text, usage=usage, raw=message)


class JavaScriptLibrary(adapters.JavaScript):
    """A library for JavaScript, over TLS."""

    def call(self, operation, caller, model, prompt, max_tokens=64):
        form = "stream" if operation.endswith("Stream") else "whole"
        answer = self.run("ask.mjs", caller, self.name, form, model, prompt, str(max_tokens), str(self.ahead))["answer"]
        return adapters.Answer(text=answer["text"], usage=answer["usage"], raw=answer)


class AnthropicTypeScript(JavaScriptLibrary):
    name = "@anthropic-ai/bedrock-sdk"
    refuses_with = "AuthenticationError"
    operations = (adapters.INVOKE, adapters.INVOKE_STREAM)


class VercelAi(JavaScriptLibrary):
    name = "@ai-sdk/amazon-bedrock"
    refuses_with = "AI_APICallError"
    operations = (adapters.CONVERSE, adapters.CONVERSE_STREAM)


LIBRARIES = (LangChain, AnthropicTypeScript, VercelAi)
