"""What injected instructions look like, by family: a table of patterns over lower-case text.

Written for the training split of the corpus (`tests/injections/train.yaml`) and for nothing of the test split. Every
gap in a pattern is bounded, so that a text costs no more than its length.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Family = Literal[
    "override", "persona", "authority", "delimiters", "exfiltration", "tools", "hidden", "encoded", "languages"
]

_DROP = (
    r"(?:ignor\w*|disregard\w*|forget|overrid\w*|neglect|skip|bypass|discard|cancel|drop|"
    r"stop (?:following|obeying)|(?:do not|don't|never|no longer) (?:obey|follow)|pay no attention to|set aside)"
)
_ORDERS = (
    r"(?:instructions?|rules?|guidelines?|directions?|directives?|prompts?|orders|restrictions?|constraints?|"
    r"commands?|system message|polic(?:y|ies)|safeguards?|filters?|task|limits)"
)
_OURS = (
    r"(?:your|previous|prior|earlier|above|initial|original|preceding|existing|current|system|all (?:of )?(?:the|your)|"
    r"every|any|all|whatever|everything|the)"
)
_PROMPT = (
    r"(?:system (?:prompt|message)|(?:initial|hidden|original|secret|real|exact) (?:prompt|instructions?|rules?)|"
    r"your (?:\w+ )?(?:prompt|instructions?|rules|configuration)|(?:the )?(?:text|everything|words|lines?) above)"
)
_TELL = (
    r"(?:reveal|repeat|show|print|output|display|leak|quote|write|tell|give|recite|disclose|list|expose|dump|"
    r"translate|summari[sz]e|encode|copy|what (?:is|are|was|were))"
)
_SECRET = (
    r"(?:passwords?|api.?keys?|(?:access )?tokens?|credentials?|secret(?:s| key)?|private keys?|"
    r"environment variables|confidential)"
)
_MACHINE = r"(?:ai|ais|llms?|language models?|chat ?bots?|bots?|assistants?|(?:ai )?agents?|automated \w+|models?)"
_TOOL = r"(?:bash|shell|tools?|propose_change|http_request|functions?|write|edit|payment)"

_PATTERNS: Final[dict[Family, tuple[str, ...]]] = {
    "override": (
        rf"\b{_DROP}\b.{{0,25}}\b{_OURS}\b.{{0,30}}\b{_ORDERS}\b",
        rf"\b{_DROP}\b.{{0,20}}\b(?:everything|all|what(?:ever)?)\b.{{0,25}}\b(?:told|said|wrote|above|before|configured)\b",
        rf"\b(?:previous|prior|earlier|above|all)\b.{{0,15}}\b{_ORDERS}\b.{{0,20}}\b(?:void|obsolete|outdated|cancel\w*|invalid|no longer|changed)\b",
        r"\byour (?:new )?(?:instructions?|rules|task) (?:have|has|is|are)\b.{0,20}\b(?:changed|new|now|to)\b",
        r"\b(?:new (?:task|orders?|instructions?)|real task)\b[,: ].{0,80}\b(?:instead|only|print|output)\b",
        r"\bstop (?:what|everything) you\b.{0,20}\b(?:do|doing)\b",
        r"\b(?:follow|obey|listen to|comply with) (?:only )?(?:me|mine|these|my)\b.{0,25}\b(?:instead|only|rules|instructions|now)\b",
        rf"\binstead of\b.{{0,30}}\b(?:asked|told|{_ORDERS})\b.{{0,20}}\b(?:reply|answer|output|print|write|do)\b",
    ),
    "persona": (
        r"\byou(?:'re| are) (?:now|no longer)\b.{0,40}\b(?:dan|anything|bound|assistant|rules|restrict\w*|free|unfiltered|limits?|limited)\b",
        rf"\b(?:pretend|act|imagine|role ?play|respond|answer|behave|simulate)\b.{{0,60}}\b(?:no|without|un|not? bound by|never)\W{{0,2}}(?:any )?\w{{0,12}} ?(?:{_ORDERS}|restrict\w*|filter\w*|refus\w*|censor\w*)",
        r"\b(?:jailbroken|unfiltered|unrestricted|uncensored|evilgpt|do anything now|never says? no)\b",
        r"\b(?:developer|god|admin|debug|unrestricted|dan|jailbreak) mode\b",
        r"\b(?:pretend|imagine)\b.{0,30}\b(?:safety|your) (?:rules|guidelines|filters)\b.{0,20}\b(?:not|n't|never)\b",
        r"\b(?:you are|act as|be) (?:a|the) (?:linux )?(?:terminal|root shell|shell)\b",
        r"\bstay in (?:this |that )?(?:character|role)\b.{0,20}\b(?:as|until)\b.{0,30}\b(?:ai|never|stop)\b",
        r"\bwithout (?:any )?(?:limits|refus\w+|restrictions|content policy|guidelines|safety)\b.{0,30}\b(?:answer|model|say|ai)?",
    ),
    "authority": (
        r"(?:^|[\[(\n])\W{0,3}(?:system|admin|root|security)\b(?: (?:message|notice|override|alert|update))?\W{1,3}.{0,80}\b(?:access|off|disabled?|safety|skip|grant\w*|privileges?|without|override|you (?:may|can|must))\b",
        r"\b(?:i am|this is|as|we are) (?:your |the |an? )?(?:\w+ )?(?:developers?|admin\w*|operators?|owner|creator|support team|engineering team|security team)\b.{0,60}\b(?:give|authori[sz]e|override|allow|print|need|order|bypass|access)\b",
        r"\b(?:admin\w*|operator|owner|developers?|reviewers?|creator|openai|anthropic|security team)\b.{0,40}\b(?:allow\w*|authori[sz]e\w*|approved|permi\w+|updated|granted|lifted)\b.{0,60}\b(?:skip|ignore|bypass|without|anything|everything|no need|go ahead|may)\b",
        r"\byou (?:have|are given|are hereby|now have) (?:the )?(?:permission|permitted|authori[sz]\w+|been granted)\b.{0,40}\b(?:bypass|ignore|access|skip|full)\b",
        r"\b(?:restrictions?|limits?|safety|filters?|checks?) (?:are |is |have been |has been |was )?(?:lifted|disabled|off|suspended|removed)\b",
        r"\b(?:authori[sz]ation|override|access) code\b",
        r"\badmin override\b|\boverride accepted\b",
    ),
    "delimiters": (
        r"<\|[a-z_]{2,24}\|>",
        r"\[/?inst\]|<</?sys>>",
        r"</?(?:system|user_?input|instructions?|assistant|tool_(?:result|response|call|output)|function_(?:calls?|results?)|invoke|parameter)\b[^>]{0,60}>",
        r"(?:^|\n)#{2,4} ?(?:system|instructions?|response|assistant|user)\s*:",
        r"\n\n(?:human|assistant|user|system) ?: ?.{0,300}(?:\n|$)",
        r"(?:^|\n)(?:system|assistant) ?:.{0,120}\n(?:user|human|assistant|system) ?:",
        r"\"role\"\s{0,4}:\s{0,4}\"(?:system|assistant|developer)\"",
        r"[=\-*]{3,} ?(?:end|begin|start|new)\b.{0,30}\b(?:input|prompt|text|document|instructions?|context)\b",
        r"(?:^|\n)system: .{0,80}\b(?:you are|you must|from now on|obey|free|secret)\b",
    ),
    "exfiltration": (
        rf"\b{_TELL}\b.{{0,40}}\b{_PROMPT}",
        rf"\b(?:reveal|show|print|output|leak|give me|tell me|send|write|list|expose|dump|upload|include)\b.{{0,40}}\b(?:the|your|all|that) ?(?:\w+ ){{0,3}}{_SECRET}\b.{{0,60}}",
        r"\b(?:send|post|upload|forward|e-?mail|transmit|submit)\b.{0,60}\b(?:conversation|notes|file|history|passwords?|data|table|contents?|text)\b.{0,60}(?:https?://|\bserver\b|webhook|@)",
        r"!\[[^\]]{0,40}\]\(https?://[^)]{0,200}[?&=][^)]{0,120}\)",
        r"\bfirst (?:\d+|few|\w+) (?:words|lines|sentences|characters) of (?:your|the) (?:prompt|instructions?|system)\b",
    ),
    "tools": (
        rf"\b(?:run|call|use|invoke|execute)\b.{{0,40}}\b{_TOOL}\b.{{0,80}}\b(?:rm -|delete|remove|send|approval|create|evil|without|admin|policy|cookie|file|download|do not)\b",
        r"\b(?:without|do not|don't) (?:telling|tell|asking|ask|mention|inform)\w*\b.{0,40}(?:\buser\b|\bconfirm\w*|\bhuman\b|\bit\b)|\bquietly\b.{0,60}\b(?:create|delete|send|add|change)\b",
        r"\brm -rf\b|\b(?:curl|wget)\b.{0,80}(?:\| ?(?:ba)?sh|https?://)",
        r"~/\.(?:ssh|aws|config|netrc)|\bid_rsa\b|/etc/(?:passwd|shadow)",
        r"\b(?:edit|change|replace|rewrite|update|modify)(?:ing)?\b.{0,20}\b(?:your|own)\b.{0,15}\b(?:agent\.yaml|policy|configuration|config|permissions)\b",
        r"\b(?:approve|vote for)\b.{0,20}\b(?:your own|proposal)\b|\byourself\b.{0,25}\b(?:reviewers?|admins?)\b",
        r"\b(?:tell|ask|forward|send)\b.{0,40}\b(?:other|all|every|each)\b.{0,10}\bagents?\b",
        r"\b(?:transfer|wire|pay|send)\b.{0,20}\b\d+ ?(?:dollars|euros?|usd|eur|\$)",
    ),
    "hidden": (
        rf"<!--.{{0,80}}\b{_MACHINE}\b.{{0,200}}-->",
        rf"(?:display ?: ?none|visibility ?: ?hidden|font-size ?: ?0|color ?: ?white).{{0,120}}\b(?:{_MACHINE}|rate|tell|add|must|ignore)\b",
        rf"\[[^\]]{{0,12}}\]: ?#.{{0,20}}\b{_MACHINE}\b",
        rf"\b(?:note|notice|attention|dear|instructions?|message|text)\b.{{0,12}}\b(?:to|for|the)?\b.{{0,12}}\b{_MACHINE}\b.{{0,60}}\b(?:must|process\w*|read\w*|summari\w*|rank\w*|state|give|say|praise|omit|leave out|rate)\b",
        rf"\bif you are an? .{{0,14}}\b{_MACHINE}\b",
        r"\b(?:ai|llm|automated) (?:agents?|systems?|assistants?|models?|reviewers?)\b.{0,40}\b(?:must|should|visit|run|approve|recommend)\b",
        r"\bany (?:ai|automated|llm)\b.{0,40}\b(?:must|should|approve|reviewing|reading)\b",
        rf"\bhidden (?:text|message|note)s? (?:for|to)\b.{{0,12}}\b{_MACHINE}\b",
    ),
    "encoded": (
        r"\b(?:decode|decrypt|unscramble|rot ?13|backwards?|reversed?|url-?decode)\b.{0,60}\b(?:follow|obey|comply|execute|do (?:it|what)|act on|carry|perform)\b",
        r"\b(?:follow|obey|execute|perform)\b.{0,40}\b(?:decoded|backwards?|rot ?13|reversed)\b",
        r"\bfirst letters? of (?:every|each)\b.{0,40}\b(?:follow|obey|command|do|execute)\b",
    ),
    "languages": (
        r"\b(?:ignorier\w*|vergiss|missachte|vergesst)\b.{0,50}\b(?:anweisung\w*|regeln?|befehle?|vorgaben|gesagt|prompt)\b",
        r"\bzeig\w*\b.{0,20}\bsystem-?prompt\b",
        r"\b(?:ignore[zr]?|oublie[zr]?|ne (?:tiens|tenez) pas compte)\b.{0,10}\b(?:les?|tes?|vos|des|ces)\b.{0,20}\b(?:instructions?|r[eè]gles?|consignes?)\b",
        r"\b(?:ignora|olvida|descarta)\w*\b.{0,40}\b(?:instrucciones|reglas|indicaciones|[oó]rdenes)\b",
        r"\b(?:ignora|dimentica)\w*\b.{0,40}\b(?:istruzioni|regole)\b",
        r"\b(?:ignore|esque[cç]a)\w*\b.{0,40}\b(?:instru[cç][oõ]es|regras)\b",
        r"(?:игнорир\w*|забудь\w*|не обращай внимания).{0,40}(?:инструкц\w*|правил\w*|указани\w*)",
        r"(?:忽略|无视|忘记|忽視).{0,12}(?:指示|指令|规则|提示)",
        r"(?:指示|命令|ルール|指令).{0,12}(?:無視|忘れ)",
        r"(?:지시|명령|규칙).{0,8}(?:무시|잊)",
        r"\b(?:negeer|vergeet)\b.{0,40}\b(?:instructies|regels)\b",
    ),
}  # fmt: skip

FAMILIES: Final[dict[Family, tuple[re.Pattern[str], ...]]] = {
    family: tuple(re.compile(pattern, re.DOTALL) for pattern in patterns) for family, patterns in _PATTERNS.items()
}
