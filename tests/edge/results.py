"""What two runs of the same signal have in common."""

from edge.messages import Decision, Message, Prediction


def is_result(message: Message) -> bool:
    return isinstance(message, Prediction | Decision)
