"""What is let through of Gemini's generateContent."""

from __future__ import annotations

from harness.proxy.rules import (
    DEARER,
    KEPT,
    LINKS,
    TOOLS,
    Rule,
    count,
    dropped,
    each,
    flag,
    free,
    number,
    only,
    refused,
    schema,
    shape,
    text,
)


def _camel(name: str) -> str:
    """A field's name as we know it: the provider takes `file_data` for `fileData` as well."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest) if head else name


def _shape(**fields: Rule) -> Rule:
    return shape(fields, named=_camel)


_DATA = _shape(mimeType=text, data=text, displayName=text)
_PART = _shape(
    text=text,
    thought=flag,
    thoughtSignature=text,
    inlineData=_DATA,
    functionCall=_shape(id=text, name=text, args=free),
    functionResponse=_shape(
        id=text, name=text, response=free, parts=each(_shape(inlineData=_DATA, fileData=refused(LINKS))),
        willContinue=flag, scheduling=text,
    ),
    mediaResolution=free,
    videoMetadata=dropped,
    partMetadata=dropped,
    fileData=refused(LINKS),
    executableCode=refused(TOOLS),
    codeExecutionResult=refused(TOOLS),
    toolCall=refused(TOOLS),
    toolResponse=refused(TOOLS),
)  # fmt: skip
CONTENT = _shape(role=text, parts=each(_PART))
_PROVIDERS_OWN = (
    "googleSearch", "googleSearchRetrieval", "codeExecution", "urlContext", "computerUse", "fileSearch", "googleMaps",
    "enterpriseWebSearch", "retrieval", "mcpServers", "parallelAiSearch",
)  # fmt: skip
_FUNCTION = _shape(
    name=text, description=text, parameters=schema, parametersJsonSchema=schema, response=schema,
    responseJsonSchema=schema, behavior=text,
)  # fmt: skip
TOOL = _shape(functionDeclarations=each(_FUNCTION), **dict.fromkeys(_PROVIDERS_OWN, refused(TOOLS)))
_CONFIG = _shape(
    **dict.fromkeys(
        ("temperature", "topP", "topK", "seed", "presencePenalty", "frequencyPenalty", "logprobs"), number
    ),
    maxOutputTokens=count,
    candidateCount=only(1, why=DEARER),
    stopSequences=each(text),
    responseMimeType=text,
    responseSchema=schema,
    responseJsonSchema=schema,
    responseLogprobs=flag,
    responseModalities=each(only("TEXT", "text", why=DEARER)),
    thinkingConfig=_shape(includeThoughts=flag, thinkingBudget=number, thinkingLevel=text),
    mediaResolution=text,
    enableEnhancedCivicAnswers=dropped,
    speechConfig=refused(DEARER),
    imageConfig=refused(DEARER),
)  # fmt: skip
GENERATE = _shape(
    model=dropped,
    contents=each(CONTENT),
    systemInstruction=CONTENT,
    tools=each(TOOL),
    toolConfig=_shape(
        functionCallingConfig=_shape(mode=text, allowedFunctionNames=each(text), streamFunctionCallArguments=flag),
        retrievalConfig=refused(TOOLS),
        includeServerSideToolInvocations=refused(TOOLS),
    ),
    generationConfig=_CONFIG,
    safetySettings=each(_shape(category=text, threshold=text, method=text)),
    labels=dropped,
    cachedContent=refused(KEPT),
    serviceTier=refused(DEARER),
    store=only(False, why=KEPT),
)
