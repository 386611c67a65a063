"""Small services in memory, each written as such a service is, and each with one bug."""

from services import (
    coupon_stacking,
    double_refund,
    gift_card_merge,
    hours_after_approval,
    invitation_reused,
    job_done_twice,
    name_taken_twice,
    oversell,
    quota_after_restore,
    room_booked_twice,
    seats_and_waiting_list,
    shipped_unpaid,
    snapshot_restore,
    soft_delete,
    stale_cache,
    token_after_logout,
    transfer_overdraft,
    version_order,
)
from services.case import Case

CASES: dict[str, Case] = {
    module.CASE.name: module.CASE
    for module in (
        coupon_stacking,
        double_refund,
        gift_card_merge,
        hours_after_approval,
        invitation_reused,
        job_done_twice,
        name_taken_twice,
        oversell,
        quota_after_restore,
        room_booked_twice,
        seats_and_waiting_list,
        shipped_unpaid,
        snapshot_restore,
        soft_delete,
        stale_cache,
        token_after_logout,
        transfer_overdraft,
        version_order,
    )
}

__all__ = ["CASES", "Case"]
