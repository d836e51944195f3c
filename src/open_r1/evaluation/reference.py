"""Published results, for comparison with ours: pass@1 in percent at temperature 0.6, top_p 0.95, 32,768 tokens.

Samples a problem: AIME 2024 64, MATH-500 4, GPQA Diamond 8, LiveCodeBench 16. Source: the Open-R1 guide.
"""

from __future__ import annotations

from collections.abc import Mapping

PUBLISHED: Mapping[str, Mapping[str, float]] = {
    "OpenR1-Distill-7B": {"aime24": 52.7, "math_500": 89.0, "gpqa": 52.8, "lcb": 39.4},
    "DeepSeek-R1-Distill-Qwen-7B": {"aime24": 51.3, "math_500": 93.5, "gpqa": 52.4, "lcb": 37.4},
    "OpenR1-Distill-1.5B": {"aime24": 30.7, "math_500": 83.1, "gpqa": 35.8, "lcb": 16.1},
    "DeepSeek-R1-Distill-Qwen-1.5B": {"aime24": 28.9, "math_500": 83.9, "gpqa": 33.8, "lcb": 16.9},
}

TITLES: Mapping[str, str] = {
    "aime24": "AIME 2024",
    "aime25": "AIME 2025",
    "math_500": "MATH-500",
    "gpqa": "GPQA Diamond",
    "lcb": "LiveCodeBench",
    "lcb_v4": "LiveCodeBench v4",
    "gsm8k": "GSM8K",
    "humaneval": "HumanEval",
    "amc23": "AMC 2023",
    "olympiadbench": "OlympiadBench",
    "minerva": "Minerva",
    "ioi": "IOI",
    "codeforces": "Codeforces",
}
"""How tables head a benchmark."""
