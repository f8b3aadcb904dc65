/* A Modbus server of libmodbus, for the end-to-end tests:
 *
 *     modbus_server tcp PORT             one client at a time, as many devices have it
 *     modbus_server rtu PATH DEVICE_ID   9600 baud, 8N1
 *
 * Tables of 1000 addresses each; beyond, libmodbus answers exception 2. A register holds seven times its
 * address and 1000, a bit is set where its address is a multiple of three: a value at the wrong point is
 * seen. Says "ready" when it listens.
 */
#include <errno.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ADDRESSES 1000

static modbus_mapping_t *tables(void) {
    modbus_mapping_t *tables = modbus_mapping_new(ADDRESSES, ADDRESSES, ADDRESSES, ADDRESSES);
    if (tables == NULL) return NULL;
    for (int at = 0; at < ADDRESSES; at++) {
        tables->tab_bits[at] = tables->tab_input_bits[at] = at % 3 == 0;
        tables->tab_registers[at] = tables->tab_input_registers[at] = (uint16_t)(at * 7 + 1000);
    }
    return tables;
}

/* Until the client has gone; a broken frame on a serial line is none of that. */
static void serve(modbus_t *bus, modbus_mapping_t *tables, int serial) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    for (;;) {
        int length = modbus_receive(bus, query);
        if (length > 0) modbus_reply(bus, query, length, tables);
        else if (length < 0 && !serial) return;
        else if (length < 0 && errno != EMBBADCRC && errno != ETIMEDOUT && errno < MODBUS_ENOBASE) return;
    }
}

int main(int argc, char **argv) {
    int serial = argc == 4 && strcmp(argv[1], "rtu") == 0;
    if (!serial && !(argc == 3 && strcmp(argv[1], "tcp") == 0)) {
        fprintf(stderr, "modbus_server tcp PORT | rtu PATH DEVICE_ID\n");
        return 2;
    }
    modbus_t *bus = serial ? modbus_new_rtu(argv[2], 9600, 'N', 8, 1) : modbus_new_tcp("127.0.0.1", atoi(argv[2]));
    modbus_mapping_t *mapping = tables();
    if (bus == NULL || mapping == NULL) return 1;
    int socket = -1;
    if (serial && (modbus_set_slave(bus, atoi(argv[3])) < 0 || modbus_connect(bus) < 0)) return 1;
    if (!serial && (socket = modbus_tcp_listen(bus, 5)) < 0) return 1;
    printf("ready\n");
    fflush(stdout);
    do {
        if (!serial && modbus_tcp_accept(bus, &socket) < 0) return 1;
        serve(bus, mapping, serial);
        if (!serial) modbus_close(bus);
    } while (!serial);
    return 1;
}
