"""`/v1/subscriptions`."""

from fastapi import APIRouter

router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])
