"""The two parts of a completion: what stands between think tags, and what follows."""


def final_part(completion: str) -> str:
    """What follows the thinking part; nothing when the thinking never ended."""
    _, closing, after = completion.rpartition("</think>")
    if closing:
        return "" if "<think>" in after else after
    return "" if "<think>" in completion else completion


def think_is_paired(completion: str) -> bool:
    """No think tags at all, or one pair in the right order.

    A completion may also start inside the thinking part, when the chat template opened it: then only the closing
    tag is there.
    """
    opening, closing = completion.count("<think>"), completion.count("</think>")
    if closing > 1 or opening > closing:
        return False
    return opening == 0 or completion.index("<think>") < completion.index("</think>")
