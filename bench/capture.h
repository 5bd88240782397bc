/* SPDX-License-Identifier: MIT */
/*
 * What a Redis client sends: 65 commands, 8055 bytes, as redis-benchmark 7.0.15 sent them to a
 * redis-server over loopback. A small proxy between the two wrote down each connection. Called for
 * D in 3, 64, 300 (bytes of a value) and TEST in set, get, incr, lpush, mset:
 *
 *      redis-benchmark -p PROXY -c 1 -n 32 -P 16 -r 1000 -d D -t TEST -q
 *
 * Of each call the first few of the pipelined commands are here, in the order of the calls, and
 * before all the two by which redis-benchmark asks for the server's configuration. The MSETs of
 * 300-byte values are left out: one of them would nearly fill the smallest ring.
 *
 * A script other than the parser under test cut the stream up and worked out the numbers.
 */
#ifndef BENCH_CAPTURE_H
#define BENCH_CAPTURE_H

#include <stdint.h>

static const struct capture_command {
    const char *bytes;
    uint32_t size;
    uint32_t argc;
    uint32_t lengths; /* of the arguments: from 0 on, times 31 plus each one, modulo 2^32 */
    uint32_t key_end; /* where the second argument ends */
    const char *name; /* the first argument */
} capture[] = {
    { "*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$4\r\nsave\r\n", 35, 3, 5863, 23, "CONFIG" },
    { "*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$10\r\nappendonly\r\n", 42, 3, 5869, 23, "CONFIG" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000346\r\n$3\r\nVXK\r\n", 45, 3, 3382, 34, "SET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000683\r\n$3\r\nVXK\r\n", 45, 3, 3382, 34, "SET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000443\r\n$3\r\nVXK\r\n", 45, 3, 3382, 34, "SET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000517\r\n$3\r\nVXK\r\n", 45, 3, 3382, 34, "SET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000713\r\n$3\r\nVXK\r\n", 45, 3, 3382, 34, "SET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000143\r\n$3\r\nVXK\r\n", 45, 3, 3382, 34, "SET" },
    { "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000782\r\n", 36, 2, 109, 34, "GET" },
    { "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000254\r\n", 36, 2, 109, 34, "GET" },
    { "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000565\r\n", 36, 2, 109, 34, "GET" },
    { "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000660\r\n", 36, 2, 109, 34, "GET" },
    { "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000917\r\n", 36, 2, 109, 34, "GET" },
    { "*2\r\n$4\r\nINCR\r\n$20\r\ncounter:000000000429\r\n", 41, 2, 144, 39, "INCR" },
    { "*2\r\n$4\r\nINCR\r\n$20\r\ncounter:000000000307\r\n", 41, 2, 144, 39, "INCR" },
    { "*2\r\n$4\r\nINCR\r\n$20\r\ncounter:000000000476\r\n", 41, 2, 144, 39, "INCR" },
    { "*2\r\n$4\r\nINCR\r\n$20\r\ncounter:000000000631\r\n", 41, 2, 144, 39, "INCR" },
    { "*3\r\n$5\r\nLPUSH\r\n$6\r\nmylist\r\n$3\r\nVXK\r\n", 36, 3, 4994, 25, "LPUSH" },
    { "*3\r\n$5\r\nLPUSH\r\n$6\r\nmylist\r\n$3\r\nVXK\r\n", 36, 3, 4994, 25, "LPUSH" },
    { "*3\r\n$5\r\nLPUSH\r\n$6\r\nmylist\r\n$3\r\nVXK\r\n", 36, 3, 4994, 25, "LPUSH" },
    { "*3\r\n$5\r\nLPUSH\r\n$6\r\nmylist\r\n$3\r\nVXK\r\n", 36, 3, 4994, 25, "LPUSH" },
    { "*3\r\n$5\r\nLPUSH\r\n$6\r\nmylist\r\n$3\r\nVXK\r\n", 36, 3, 4994, 25, "LPUSH" },
    { "*21\r\n$4\r\nMSET\r\n$16\r\nkey:000000000722\r\n$3\r\nVXK\r\n$16\r\nkey:000000000145\r\n"
      "$3\r\nVXK\r\n$16\r\nkey:000000000471\r\n$3\r\nVXK\r\n$16\r\nkey:000000000672\r\n$3\r\nVX"
      "K\r\n$16\r\nkey:000000000423\r\n$3\r\nVXK\r\n$16\r\nkey:000000000999\r\n$3\r\nVXK\r\n$16"
      "\r\nkey:000000000551\r\n$3\r\nVXK\r\n$16\r\nkey:000000000340\r\n$3\r\nVXK\r\n$16\r\nkey:"
      "000000000350\r\n$3\r\nVXK\r\n$16\r\nkey:000000000397\r\n$3\r\nVXK\r\n",
      335, 21, 3559086018U, 36, "MSET" },
    { "*21\r\n$4\r\nMSET\r\n$16\r\nkey:000000000872\r\n$3\r\nVXK\r\n$16\r\nkey:000000000325\r\n"
      "$3\r\nVXK\r\n$16\r\nkey:000000000728\r\n$3\r\nVXK\r\n$16\r\nkey:000000000582\r\n$3\r\nVX"
      "K\r\n$16\r\nkey:000000000375\r\n$3\r\nVXK\r\n$16\r\nkey:000000000272\r\n$3\r\nVXK\r\n$16"
      "\r\nkey:000000000562\r\n$3\r\nVXK\r\n$16\r\nkey:000000000309\r\n$3\r\nVXK\r\n$16\r\nkey:"
      "000000000822\r\n$3\r\nVXK\r\n$16\r\nkey:000000000403\r\n$3\r\nVXK\r\n",
      335, 21, 3559086018U, 36, "MSET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000299\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@"
      "50o7dS3JV4Q6L68lC[GTA]0DaMg?_\r\n",
      107, 3, 3443U, 34, "SET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000216\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@"
      "50o7dS3JV4Q6L68lC[GTA]0DaMg?_\r\n",
      107, 3, 3443U, 34, "SET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000023\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@"
      "50o7dS3JV4Q6L68lC[GTA]0DaMg?_\r\n",
      107, 3, 3443U, 34, "SET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000583\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@"
      "50o7dS3JV4Q6L68lC[GTA]0DaMg?_\r\n",
      107, 3, 3443U, 34, "SET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000349\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@"
      "50o7dS3JV4Q6L68lC[GTA]0DaMg?_\r\n",
      107, 3, 3443U, 34, "SET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000235\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@"
      "50o7dS3JV4Q6L68lC[GTA]0DaMg?_\r\n",
      107, 3, 3443U, 34, "SET" },
    { "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000419\r\n", 36, 2, 109, 34, "GET" },
    { "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000050\r\n", 36, 2, 109, 34, "GET" },
    { "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000385\r\n", 36, 2, 109, 34, "GET" },
    { "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000347\r\n", 36, 2, 109, 34, "GET" },
    { "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000192\r\n", 36, 2, 109, 34, "GET" },
    { "*2\r\n$4\r\nINCR\r\n$20\r\ncounter:000000000635\r\n", 41, 2, 144, 39, "INCR" },
    { "*2\r\n$4\r\nINCR\r\n$20\r\ncounter:000000000343\r\n", 41, 2, 144, 39, "INCR" },
    { "*2\r\n$4\r\nINCR\r\n$20\r\ncounter:000000000327\r\n", 41, 2, 144, 39, "INCR" },
    { "*2\r\n$4\r\nINCR\r\n$20\r\ncounter:000000000615\r\n", 41, 2, 144, 39, "INCR" },
    { "*3\r\n$5\r\nLPUSH\r\n$6\r\nmylist\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@50o7dS3JV"
      "4Q6L68lC[GTA]0DaMg?_\r\n",
      98, 3, 5055U, 25, "LPUSH" },
    { "*3\r\n$5\r\nLPUSH\r\n$6\r\nmylist\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@50o7dS3JV"
      "4Q6L68lC[GTA]0DaMg?_\r\n",
      98, 3, 5055U, 25, "LPUSH" },
    { "*3\r\n$5\r\nLPUSH\r\n$6\r\nmylist\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@50o7dS3JV"
      "4Q6L68lC[GTA]0DaMg?_\r\n",
      98, 3, 5055U, 25, "LPUSH" },
    { "*3\r\n$5\r\nLPUSH\r\n$6\r\nmylist\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@50o7dS3JV"
      "4Q6L68lC[GTA]0DaMg?_\r\n",
      98, 3, 5055U, 25, "LPUSH" },
    { "*3\r\n$5\r\nLPUSH\r\n$6\r\nmylist\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@50o7dS3JV"
      "4Q6L68lC[GTA]0DaMg?_\r\n",
      98, 3, 5055U, 25, "LPUSH" },
    { "*21\r\n$4\r\nMSET\r\n$16\r\nkey:000000000058\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:i"
      "R@50o7dS3JV4Q6L68lC[GTA]0DaMg?_\r\n$16\r\nkey:000000000091\r\n$64\r\nVXKeHogKgJ=[5V9_X^b"
      "?48OKF2jGA<f:iR@50o7dS3JV4Q6L68lC[GTA]0DaMg?_\r\n$16\r\nkey:000000000198\r\n$64\r\nVXKeH"
      "ogKgJ=[5V9_X^b?48OKF2jGA<f:iR@50o7dS3JV4Q6L68lC[GTA]0DaMg?_\r\n$16\r\nkey:000000000369"
      "\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@50o7dS3JV4Q6L68lC[GTA]0DaMg?_\r\n$16\r\nke"
      "y:000000000174\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@50o7dS3JV4Q6L68lC[GTA]0DaMg?"
      "_\r\n$16\r\nkey:000000000487\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@50o7dS3JV4Q6L6"
      "8lC[GTA]0DaMg?_\r\n$16\r\nkey:000000000815\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@"
      "50o7dS3JV4Q6L68lC[GTA]0DaMg?_\r\n$16\r\nkey:000000000538\r\n$64\r\nVXKeHogKgJ=[5V9_X^b?4"
      "8OKF2jGA<f:iR@50o7dS3JV4Q6L68lC[GTA]0DaMg?_\r\n$16\r\nkey:000000000055\r\n$64\r\nVXKeHog"
      "KgJ=[5V9_X^b?48OKF2jGA<f:iR@50o7dS3JV4Q6L68lC[GTA]0DaMg?_\r\n$16\r\nkey:000000000271\r\n"
      "$64\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@50o7dS3JV4Q6L68lC[GTA]0DaMg?_\r\n",
      955, 21, 3116175332U, 36, "MSET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000046\r\n$300\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR"
      "@50o7dS3JV4Q6L68lC[GTA]0DaMg?_oSmcS2^N1J?ELSX@CfKQ7cM5aea\\ngY8a3LGgNVa9eRA46XS8>7ABe1>J"
      "l9O\\Rm\\7IS:g\\U5b]=`ePo^LXhl4e:4P[DQNA3cgn<RH4UcdI6<V9S78NViC;^omK:<<Ldel:=iDmLB8B6m?K"
      "=8269Pj>VGVSSh^J6;;DOVS`3jV`6IY\\e85iH9_G[UELFknTb;Nfj2leC34;li[ECO7>=<Zmco2NM_aB`?]5GSG"
      "S25LjQf\r\n",
      344, 3, 3679U, 34, "SET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000045\r\n$300\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR"
      "@50o7dS3JV4Q6L68lC[GTA]0DaMg?_oSmcS2^N1J?ELSX@CfKQ7cM5aea\\ngY8a3LGgNVa9eRA46XS8>7ABe1>J"
      "l9O\\Rm\\7IS:g\\U5b]=`ePo^LXhl4e:4P[DQNA3cgn<RH4UcdI6<V9S78NViC;^omK:<<Ldel:=iDmLB8B6m?K"
      "=8269Pj>VGVSSh^J6;;DOVS`3jV`6IY\\e85iH9_G[UELFknTb;Nfj2leC34;li[ECO7>=<Zmco2NM_aB`?]5GSG"
      "S25LjQf\r\n",
      344, 3, 3679U, 34, "SET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000330\r\n$300\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR"
      "@50o7dS3JV4Q6L68lC[GTA]0DaMg?_oSmcS2^N1J?ELSX@CfKQ7cM5aea\\ngY8a3LGgNVa9eRA46XS8>7ABe1>J"
      "l9O\\Rm\\7IS:g\\U5b]=`ePo^LXhl4e:4P[DQNA3cgn<RH4UcdI6<V9S78NViC;^omK:<<Ldel:=iDmLB8B6m?K"
      "=8269Pj>VGVSSh^J6;;DOVS`3jV`6IY\\e85iH9_G[UELFknTb;Nfj2leC34;li[ECO7>=<Zmco2NM_aB`?]5GSG"
      "S25LjQf\r\n",
      344, 3, 3679U, 34, "SET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000473\r\n$300\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR"
      "@50o7dS3JV4Q6L68lC[GTA]0DaMg?_oSmcS2^N1J?ELSX@CfKQ7cM5aea\\ngY8a3LGgNVa9eRA46XS8>7ABe1>J"
      "l9O\\Rm\\7IS:g\\U5b]=`ePo^LXhl4e:4P[DQNA3cgn<RH4UcdI6<V9S78NViC;^omK:<<Ldel:=iDmLB8B6m?K"
      "=8269Pj>VGVSSh^J6;;DOVS`3jV`6IY\\e85iH9_G[UELFknTb;Nfj2leC34;li[ECO7>=<Zmco2NM_aB`?]5GSG"
      "S25LjQf\r\n",
      344, 3, 3679U, 34, "SET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000282\r\n$300\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR"
      "@50o7dS3JV4Q6L68lC[GTA]0DaMg?_oSmcS2^N1J?ELSX@CfKQ7cM5aea\\ngY8a3LGgNVa9eRA46XS8>7ABe1>J"
      "l9O\\Rm\\7IS:g\\U5b]=`ePo^LXhl4e:4P[DQNA3cgn<RH4UcdI6<V9S78NViC;^omK:<<Ldel:=iDmLB8B6m?K"
      "=8269Pj>VGVSSh^J6;;DOVS`3jV`6IY\\e85iH9_G[UELFknTb;Nfj2leC34;li[ECO7>=<Zmco2NM_aB`?]5GSG"
      "S25LjQf\r\n",
      344, 3, 3679U, 34, "SET" },
    { "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000148\r\n$300\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR"
      "@50o7dS3JV4Q6L68lC[GTA]0DaMg?_oSmcS2^N1J?ELSX@CfKQ7cM5aea\\ngY8a3LGgNVa9eRA46XS8>7ABe1>J"
      "l9O\\Rm\\7IS:g\\U5b]=`ePo^LXhl4e:4P[DQNA3cgn<RH4UcdI6<V9S78NViC;^omK:<<Ldel:=iDmLB8B6m?K"
      "=8269Pj>VGVSSh^J6;;DOVS`3jV`6IY\\e85iH9_G[UELFknTb;Nfj2leC34;li[ECO7>=<Zmco2NM_aB`?]5GSG"
      "S25LjQf\r\n",
      344, 3, 3679U, 34, "SET" },
    { "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000739\r\n", 36, 2, 109, 34, "GET" },
    { "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000404\r\n", 36, 2, 109, 34, "GET" },
    { "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000327\r\n", 36, 2, 109, 34, "GET" },
    { "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000657\r\n", 36, 2, 109, 34, "GET" },
    { "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000675\r\n", 36, 2, 109, 34, "GET" },
    { "*2\r\n$4\r\nINCR\r\n$20\r\ncounter:000000000219\r\n", 41, 2, 144, 39, "INCR" },
    { "*2\r\n$4\r\nINCR\r\n$20\r\ncounter:000000000159\r\n", 41, 2, 144, 39, "INCR" },
    { "*2\r\n$4\r\nINCR\r\n$20\r\ncounter:000000000858\r\n", 41, 2, 144, 39, "INCR" },
    { "*2\r\n$4\r\nINCR\r\n$20\r\ncounter:000000000719\r\n", 41, 2, 144, 39, "INCR" },
    { "*3\r\n$5\r\nLPUSH\r\n$6\r\nmylist\r\n$300\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@50o7dS3J"
      "V4Q6L68lC[GTA]0DaMg?_oSmcS2^N1J?ELSX@CfKQ7cM5aea\\ngY8a3LGgNVa9eRA46XS8>7ABe1>Jl9O\\Rm\\"
      "7IS:g\\U5b]=`ePo^LXhl4e:4P[DQNA3cgn<RH4UcdI6<V9S78NViC;^omK:<<Ldel:=iDmLB8B6m?K=8269Pj>V"
      "GVSSh^J6;;DOVS`3jV`6IY\\e85iH9_G[UELFknTb;Nfj2leC34;li[ECO7>=<Zmco2NM_aB`?]5GSGS25LjQf"
      "\r\n",
      335, 3, 5291U, 25, "LPUSH" },
    { "*3\r\n$5\r\nLPUSH\r\n$6\r\nmylist\r\n$300\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@50o7dS3J"
      "V4Q6L68lC[GTA]0DaMg?_oSmcS2^N1J?ELSX@CfKQ7cM5aea\\ngY8a3LGgNVa9eRA46XS8>7ABe1>Jl9O\\Rm\\"
      "7IS:g\\U5b]=`ePo^LXhl4e:4P[DQNA3cgn<RH4UcdI6<V9S78NViC;^omK:<<Ldel:=iDmLB8B6m?K=8269Pj>V"
      "GVSSh^J6;;DOVS`3jV`6IY\\e85iH9_G[UELFknTb;Nfj2leC34;li[ECO7>=<Zmco2NM_aB`?]5GSGS25LjQf"
      "\r\n",
      335, 3, 5291U, 25, "LPUSH" },
    { "*3\r\n$5\r\nLPUSH\r\n$6\r\nmylist\r\n$300\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@50o7dS3J"
      "V4Q6L68lC[GTA]0DaMg?_oSmcS2^N1J?ELSX@CfKQ7cM5aea\\ngY8a3LGgNVa9eRA46XS8>7ABe1>Jl9O\\Rm\\"
      "7IS:g\\U5b]=`ePo^LXhl4e:4P[DQNA3cgn<RH4UcdI6<V9S78NViC;^omK:<<Ldel:=iDmLB8B6m?K=8269Pj>V"
      "GVSSh^J6;;DOVS`3jV`6IY\\e85iH9_G[UELFknTb;Nfj2leC34;li[ECO7>=<Zmco2NM_aB`?]5GSGS25LjQf"
      "\r\n",
      335, 3, 5291U, 25, "LPUSH" },
    { "*3\r\n$5\r\nLPUSH\r\n$6\r\nmylist\r\n$300\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@50o7dS3J"
      "V4Q6L68lC[GTA]0DaMg?_oSmcS2^N1J?ELSX@CfKQ7cM5aea\\ngY8a3LGgNVa9eRA46XS8>7ABe1>Jl9O\\Rm\\"
      "7IS:g\\U5b]=`ePo^LXhl4e:4P[DQNA3cgn<RH4UcdI6<V9S78NViC;^omK:<<Ldel:=iDmLB8B6m?K=8269Pj>V"
      "GVSSh^J6;;DOVS`3jV`6IY\\e85iH9_G[UELFknTb;Nfj2leC34;li[ECO7>=<Zmco2NM_aB`?]5GSGS25LjQf"
      "\r\n",
      335, 3, 5291U, 25, "LPUSH" },
    { "*3\r\n$5\r\nLPUSH\r\n$6\r\nmylist\r\n$300\r\nVXKeHogKgJ=[5V9_X^b?48OKF2jGA<f:iR@50o7dS3J"
      "V4Q6L68lC[GTA]0DaMg?_oSmcS2^N1J?ELSX@CfKQ7cM5aea\\ngY8a3LGgNVa9eRA46XS8>7ABe1>Jl9O\\Rm\\"
      "7IS:g\\U5b]=`ePo^LXhl4e:4P[DQNA3cgn<RH4UcdI6<V9S78NViC;^omK:<<Ldel:=iDmLB8B6m?K=8269Pj>V"
      "GVSSh^J6;;DOVS`3jV`6IY\\e85iH9_G[UELFknTb;Nfj2leC34;li[ECO7>=<Zmco2NM_aB`?]5GSGS25LjQf"
      "\r\n",
      335, 3, 5291U, 25, "LPUSH" },
};

#define CAPTURE_COUNT (sizeof capture / sizeof capture[0])

#endif
