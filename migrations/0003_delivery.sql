-- What does delivery need besides?
-- retry_deliveries takes a channel too: what sql/ rebuilds cannot change its parameters.

drop function if exists scooters_ops.retry_deliveries(text);
