#!/usr/bin/env python3
"""Trims LiteLLM's price list to the rows of Amazon Bedrock that Tollgate ships.

    scripts/prices.py litellm-1.109.1-*.whl --date 2026-11-21 > src/profiles/price/bedrock-prices.json

Reads a LiteLLM wheel (or its model_prices_and_context_window_backup.json with --version) and prints one JSON object:
prices are decimal strings in USD per million tokens, never floats. Kept are chat and embedding models that are priced by
the token alone: under `models` by the id that an application inference profile can be made from (a foundation model's,
or a system-defined profile's), under `regions` where a Region has a row of its own. Left out, and named on standard
error, are rows with a price per image, second or query: a model without a row has no price, and a price that covers half
of a call is worse than none. Batch, commitment and "ultrafast" prices are left out too: no call through the gateway
can incur them.
"""

import argparse
import datetime
import json
import re
import sys
import zipfile
from decimal import Decimal

BACKUP = "litellm/model_prices_and_context_window_backup.json"
MODEL_ID = re.compile(r"[A-Za-z0-9-]+\.[A-Za-z0-9.:_-]+")
REGION = re.compile(r"[a-z]{2}(-gov)?-[a-z]+-[0-9]")
# Our names of the kinds of token, and LiteLLM's.
KINDS = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write_5m": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
}
# Prices of web search are the provider's own API's; Bedrock has no such tool.
IRRELEVANT = {"search_context_cost_per_query"}
GUARDRAIL = {
    "content_policy": "contentPolicyUnits",
    "topic_policy": "topicPolicyUnits",
    "word_policy": "wordPolicyUnits",
    "sensitive_information_policy": "sensitiveInformationPolicyUnits",
    "contextual_grounding_policy": "contextualGroundingPolicyUnits",
    "automated_reasoning_policy": "automatedReasoningPolicyUnits",
    "content_policy_image": "contentPolicyImageUnits",
}


def decimal_string(amount):
    """A plain decimal without exponent or trailing zeros, at most nine decimals."""
    text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if len(text.partition(".")[2]) > 9:
        raise ValueError(f"{text} is finer than a nano-dollar")
    return text


def rates(row, suffix=""):
    """The prices of one tier, or None where the row has none."""
    found = {}
    for ours, theirs in KINDS.items():
        price = row.get(theirs + suffix)
        if price is not None:
            found[ours] = decimal_string(price * 1_000_000)
    return found if "input" in found and "output" in found else None


def other_unit(row):
    """The name of a price in `row` that is not by the token, or None."""
    for field, price in row.items():
        if field in IRRELEVANT or not re.search(r"cost_per_(image|video|audio|query|second)", field):
            continue
        if field.endswith("_token") and price == row.get(KINDS["input"]):
            continue  # Tokens of images that cost what tokens of text cost.
        if price:
            return field
    return None


def trim(row):
    """Our form of one LiteLLM row."""
    trimmed = rates(row)
    for limit in ("max_input", "max_output"):
        tokens = row.get(f"{limit}_tokens")
        if tokens is not None:
            trimmed[limit] = int(tokens)
    if row["mode"] == "embedding":
        trimmed["max_output"] = 0
    for tier in ("flex", "priority"):
        prices = rates(row, f"_{tier}")
        if prices:
            trimmed[tier] = prices
    thresholds = {match[1] for field in row if (match := re.fullmatch(r"input_cost_per_token_above_(\d+)k_tokens", field))}
    if len(thresholds) > 1:
        raise ValueError(f"more than one long-context threshold: {thresholds}")
    for thousands in thresholds:
        trimmed["above"] = {"tokens": int(thousands) * 1000, **rates(row, f"_above_{thousands}k_tokens")}
    return trimmed


def place(key):
    """Where a row belongs: (Region or None, model id), or None where it is no row of ours."""
    parts = key.split("/")
    if len(parts) == 1 and MODEL_ID.fullmatch(key):
        return None, key
    if len(parts) == 3 and parts[0] == "bedrock" and REGION.fullmatch(parts[1]) and MODEL_ID.fullmatch(parts[2]):
        return parts[1], parts[2]
    return None


def read(path, version):
    """LiteLLM's rows with exact decimals, and the version they came with."""
    if path.endswith(".whl"):
        with zipfile.ZipFile(path) as wheel:
            text = wheel.read(BACKUP)
            metadata = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
            version = re.search(rb"^Version: (\S+)", wheel.read(metadata), re.MULTILINE)[1].decode()
    else:
        with open(path, "rb") as file:
            text = file.read()
    if not version:
        sys.exit("a bare JSON file needs --version")
    return json.loads(text, parse_float=Decimal, parse_int=Decimal), version


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a LiteLLM wheel, or its price list with --version")
    parser.add_argument("--version", help="LiteLLM's version, for a bare price list")
    parser.add_argument("--date", default=datetime.date.today().isoformat(), help="the day the list was taken")
    arguments = parser.parse_args()
    rows, version = read(arguments.source, arguments.version)

    models, regions, guardrail = {}, {}, None
    for key, row in sorted(rows.items()):
        if row.get("litellm_provider") not in ("bedrock", "bedrock_converse"):
            continue
        if key == "bedrock/guardrails":
            units = row["guardrail_cost_per_unit"]
            guardrail = {ours: decimal_string(units[theirs]) for ours, theirs in GUARDRAIL.items()}
            continue
        where = place(key)
        if where is None or row.get("mode") not in ("chat", "embedding"):
            continue
        unpriceable = other_unit(row) or (None if rates(row) else "no price by the token")
        if unpriceable:
            print(f"left out: {key}: {unpriceable}", file=sys.stderr)
            continue
        region, model = where
        (regions.setdefault(region, {}) if region else models)[model] = trim(row)

    line = lambda value: json.dumps(value, separators=(",", ":"))
    block = lambda table, indent: ",\n".join(f"{indent}{json.dumps(name)}:{line(row)}" for name, row in table.items())
    print("{")
    print(f'"source":{line(f"LiteLLM {version}, model_prices_and_context_window_backup.json (MIT, see NOTICE)")},')
    print(f'"taken":{line(arguments.date)},')
    print(f'"guardrail":{line(guardrail)},')
    print(f'"models":{{\n{block(models, " ")}\n}},')
    print('"regions":{')
    print(",\n".join(f" {json.dumps(region)}:{{\n{block(table, '  ')}\n }}" for region, table in sorted(regions.items())))
    print("}}")


if __name__ == "__main__":
    main()
