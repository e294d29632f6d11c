/* A subscriber as somebody else would write it: libzmq, one topic, JSON; prints "topic<TAB>payload" and ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: subscriber ENDPOINT TOPIC N_MESSAGES\n");
        return 2;
    }
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_SUB);
    int timeout_ms = 20000;
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    zmq_setsockopt(socket, ZMQ_SUBSCRIBE, argv[2], strlen(argv[2]));
    if (zmq_connect(socket, argv[1]) != 0) {
        fprintf(stderr, "connect: %s\n", zmq_strerror(zmq_errno()));
        return 1;
    }
    for (int left = atoi(argv[3]); left > 0; left--) {
        int more = 1;
        for (int part = 0; more; part++) {
            zmq_msg_t message;
            size_t size = sizeof more;
            zmq_msg_init(&message);
            if (zmq_msg_recv(&message, socket, 0) < 0) {
                fprintf(stderr, "receive: %s\n", zmq_strerror(zmq_errno()));
                return 1;
            }
            if (part > 0)
                putchar('\t');
            fwrite(zmq_msg_data(&message), 1, zmq_msg_size(&message), stdout);
            zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size);
            zmq_msg_close(&message);
        }
        putchar('\n');
    }
    zmq_close(socket);
    zmq_ctx_term(context);
    return 0;
}
