"""No client holds more than its part, and what it gives back it may take again."""

from __future__ import annotations

from open_r1.net.quotas import Quota


def test_a_client_holds_no_more_than_the_quota_whatever_others_hold() -> None:
    quota = Quota(3)
    assert quota.take("a", 2)
    assert not quota.take("a", 2)
    assert quota.held("a") == 2
    assert quota.take("a")
    assert not quota.take("a")
    assert quota.take("b", 3)


def test_what_is_given_back_may_be_taken_again_and_leaves_nothing_behind() -> None:
    quota = Quota(3)
    quota.take("a", 3)
    quota.give_back("a", 2)
    assert quota.held("a") == 1
    assert quota.take("a", 2)
    quota.give_back("a", 3)
    assert quota.held("a") == 0
    assert quota.take("a", 3)
    quota.give_back("a", 3)
    assert not quota._held
