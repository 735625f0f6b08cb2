// Asks a model with another library as it comes: address, credential and Region from the environment. Arguments: the
// library, "stream" or "whole", the model, the prompt, the most tokens, and how many seconds the clock is ahead. Prints what
// `call.mjs` prints, with {"text", "usage": {"input", "output"}} as the answer.

import { createAmazonBedrock } from "@ai-sdk/amazon-bedrock";
import { AnthropicBedrock } from "@anthropic-ai/bedrock-sdk";
import { generateText, streamText } from "ai";
import { setTheClock } from "./clock.mjs";

const libraries = {
  "@anthropic-ai/bedrock-sdk": async (streamed, model, prompt, max_tokens) => {
    const asked = { model, max_tokens, messages: [{ role: "user", content: prompt }] };
    const { messages } = new AnthropicBedrock();
    const { content, usage } = await (streamed ? messages.stream(asked).finalMessage() : messages.create(asked));
    return { text: content[0].text, usage: { input: usage.input_tokens, output: usage.output_tokens } };
  },
  "@ai-sdk/amazon-bedrock": async (streamed, name, prompt, maxOutputTokens) => {
    let failure;
    const onError = ({ error }) => (failure = error); // It throws nothing while it streams.
    const asked = { model: createAmazonBedrock()(name), prompt, maxOutputTokens };
    const result = streamed ? streamText({ ...asked, onError }) : await generateText(asked);
    let text = "";
    if (streamed) for await (const piece of result.textStream) text += piece;
    if (failure) throw failure;
    const usage = await result.usage;
    return { text: streamed ? text : result.text, usage: { input: usage.inputTokens, output: usage.outputTokens } };
  },
};

const [library, form, model, prompt, most, ahead] = process.argv.slice(2);
if (Number(ahead)) setTheClock(Number(ahead) * 1000);
const print = (result) => console.log(JSON.stringify({ ...result, events: [] }));
try {
  print({ answer: await libraries[library](form === "stream", model, prompt, Number(most)) });
} catch (error) {
  const { name, message, constructor } = error;
  const status = error.status ?? error.statusCode;
  print({ error: { name: name === "Error" ? constructor.name : name, message, status, typed: true } });
}
