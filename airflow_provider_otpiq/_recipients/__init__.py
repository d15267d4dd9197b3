"""The recipients of a campaign: what is valid, what is sent, and what OTPIQ returns."""
