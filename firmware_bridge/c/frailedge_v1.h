/* SPDX-License-Identifier: Apache-2.0
 *
 * frailedge packet v1 for firmware: what a foot sensor puts on the air, in one C99 header.
 *
 * Numbers enter and bytes leave, and the other way round for what is written to the control characteristic. Nothing is
 * allocated and nothing kept; no function reads or writes past the lengths it is given. Byte order and alignment of the
 * processor do not matter. docs/protocol.md says what the counters must do.
 */
#ifndef FRAILEDGE_V1_H
#define FRAILEDGE_V1_H

#include <stddef.h>
#include <stdint.h>

#define FE1_SERVICE_UUID "6f1d0001-8a3b-4c0e-9d57-2b6a1f3e7c90"
#define FE1_DATA_UUID "6f1d0002-8a3b-4c0e-9d57-2b6a1f3e7c90"    /* notify */
#define FE1_CONTROL_UUID "6f1d0003-8a3b-4c0e-9d57-2b6a1f3e7c90" /* write, indicate */
#define FE1_INFO_UUID "6f1d0004-8a3b-4c0e-9d57-2b6a1f3e7c90"    /* read */

#define FE1_MAX_SAMPLES 19u
#define FE1_CHANNELS 6u
#define FE1_HEADER_BYTES 12u
#define FE1_DATA_BYTES(n_samples) (FE1_HEADER_BYTES + 2u * FE1_CHANNELS * (n_samples))
#define FE1_INFO_BYTES 16u
#define FE1_ANSWER_BYTES 2u
#define FE1_ECHO_BYTES 10u

enum fe1_op { FE1_START = 1, FE1_STOP = 2, FE1_SET_RATE = 3, FE1_SET_RANGES = 4, FE1_TIME_ECHO = 5 };
enum fe1_status { FE1_DONE = 0, FE1_UNKNOWN = 1, FE1_BAD_VALUE = 2, FE1_BUSY = 3 };
enum fe1_side { FE1_SIDE_UNKNOWN = 0, FE1_LEFT = 1, FE1_RIGHT = 2 };
enum fe1_frame { FE1_FRAME_SENSOR = 0, FE1_FRAME_FOOT = 1 };

struct fe1_info {
    uint8_t n_samples;             /* usual number in a packet, 1 to 19 */
    uint16_t rate_tenth_hz;        /* 1040 = 104 Hz */
    uint16_t acc_lsb_per_g;        /* 2048 for +-16 g */
    uint16_t gyr_lsb_per_10_deg_s; /* 164 for +-2000 deg/s */
    uint32_t boot_id;              /* random at each boot */
    uint8_t side;                  /* enum fe1_side */
    uint8_t frame;                 /* enum fe1_frame */
};

/* A command that was read from a control write; only the members of its op mean something. */
struct fe1_command {
    uint8_t op;             /* enum fe1_op; what was written, or 0, where it is unknown */
    uint16_t rate_tenth_hz; /* FE1_SET_RATE */
    uint16_t acc_g;         /* FE1_SET_RANGES */
    uint16_t gyr_deg_s;     /* FE1_SET_RANGES */
    uint32_t token;         /* FE1_TIME_ECHO */
};

static inline void fe1_put16(uint8_t *out, uint16_t value)
{
    out[0] = (uint8_t)(value & 0xFFu);
    out[1] = (uint8_t)(value >> 8);
}

static inline void fe1_put32(uint8_t *out, uint32_t value)
{
    fe1_put16(out, (uint16_t)(value & 0xFFFFu));
    fe1_put16(out + 2, (uint16_t)(value >> 16));
}

static inline uint16_t fe1_get16(const uint8_t *data)
{
    return (uint16_t)(data[0] | ((unsigned)data[1] << 8));
}

static inline uint32_t fe1_get32(const uint8_t *data)
{
    return fe1_get16(data) | ((uint32_t)fe1_get16(data + 2) << 16);
}

/* A data notification of n_samples samples, counts acc x y z, gyr x y z of one after the other.
 * Gives its length, or 0 where n_samples is not 1 to 19 or the capacity is too small. */
static inline size_t fe1_data(uint8_t *out, size_t capacity, uint16_t packet_seq, uint32_t first_sample_index,
                              uint32_t t_first_us, const int16_t *counts, uint8_t n_samples)
{
    size_t n_counts = (size_t)FE1_CHANNELS * n_samples;
    size_t i;

    if (n_samples < 1u || n_samples > FE1_MAX_SAMPLES || capacity < FE1_DATA_BYTES((size_t)n_samples)) {
        return 0;
    }
    out[0] = 0x11u; /* version 1, type 1 */
    out[1] = n_samples;
    fe1_put16(out + 2, packet_seq);
    fe1_put32(out + 4, first_sample_index);
    fe1_put32(out + 8, t_first_us);
    for (i = 0; i < n_counts; i++) {
        fe1_put16(out + FE1_HEADER_BYTES + 2u * i, (uint16_t)counts[i]);
    }
    return FE1_HEADER_BYTES + 2u * n_counts;
}

/* The value of the info characteristic. Gives its length, or 0 where a member is out of its range. */
static inline size_t fe1_info(uint8_t out[FE1_INFO_BYTES], const struct fe1_info *info)
{
    if (info->n_samples < 1u || info->n_samples > FE1_MAX_SAMPLES || info->rate_tenth_hz == 0u ||
        info->acc_lsb_per_g == 0u || info->gyr_lsb_per_10_deg_s == 0u || info->side > FE1_RIGHT ||
        info->frame > FE1_FRAME_FOOT) {
        return 0;
    }
    out[0] = 1u; /* version */
    out[1] = info->n_samples;
    fe1_put16(out + 2, info->rate_tenth_hz);
    fe1_put16(out + 4, info->acc_lsb_per_g);
    fe1_put16(out + 6, info->gyr_lsb_per_10_deg_s);
    fe1_put32(out + 8, info->boot_id);
    out[12] = info->side;
    out[13] = info->frame;
    fe1_put16(out + 14, 0u);
    return FE1_INFO_BYTES;
}

/* Read what was written to control. Other than FE1_DONE: give this status in the answer and do nothing.
 * Whether a rate or range is one that the sensor has is for the firmware to say: FE1_BAD_VALUE. */
static inline enum fe1_status fe1_command(struct fe1_command *command, const uint8_t *data, size_t n_bytes)
{
    static const uint8_t lengths[] = {0, 1, 1, 3, 5, 5}; /* by op */

    command->op = n_bytes > 0u ? data[0] : 0u;
    command->rate_tenth_hz = command->acc_g = command->gyr_deg_s = 0u;
    command->token = 0u;
    if (command->op < FE1_START || command->op > FE1_TIME_ECHO) {
        return FE1_UNKNOWN;
    }
    if (n_bytes != lengths[command->op]) {
        return FE1_BAD_VALUE;
    }
    switch (command->op) {
    case FE1_SET_RATE:
        command->rate_tenth_hz = fe1_get16(data + 1);
        break;
    case FE1_SET_RANGES:
        command->acc_g = fe1_get16(data + 1);
        command->gyr_deg_s = fe1_get16(data + 3);
        break;
    case FE1_TIME_ECHO:
        command->token = fe1_get32(data + 1);
        break;
    default:
        break;
    }
    return FE1_DONE;
}

/* The indication that ends every control write but a time echo that was done. Gives its length. */
static inline size_t fe1_answer(uint8_t out[FE1_ANSWER_BYTES], uint8_t op, enum fe1_status status)
{
    out[0] = op;
    out[1] = (uint8_t)status;
    return FE1_ANSWER_BYTES;
}

/* The indication that ends a time echo: t_us is the device clock when the write came. Gives its length. */
static inline size_t fe1_echo(uint8_t out[FE1_ECHO_BYTES], uint32_t token, uint32_t t_us)
{
    out[0] = FE1_TIME_ECHO;
    out[1] = FE1_DONE;
    fe1_put32(out + 2, token);
    fe1_put32(out + 6, t_us);
    return FE1_ECHO_BYTES;
}

#endif
