"""`/v1/deliveries`: what was said to whom, and results that never arrived."""

from fastapi import APIRouter

router = APIRouter(prefix="/v1/deliveries", tags=["deliveries"])
